"""What the tests of the deploy normalizer share: reports, GitHub bodies, and a store that lives in memory."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.deploy_normalizer.domain.deploy import (
    Deploy,
    Kind,
    Provider,
    Report,
    Status,
    combine,
    deploy_id,
    same_reports,
)
from services.deploy_normalizer.domain.lineage import moved
from services.deploy_normalizer.domain.query import DeployQuery
from services.deploy_normalizer.domain.signature import github_signature
from services.deploy_normalizer.ports import Effect, Recorded, Unread

SECRET = "open sesame"
ROOT_SECRET = "what secrets of tenants are derived from"
TOKEN = "argo token"
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def minutes(count: float) -> datetime:
    """Return the instant that many minutes after noon."""
    return NOON + timedelta(minutes=count)


def report(status: Status, at: datetime = NOON, **changes: Any) -> Report:
    """Return a report about deploy 7 of checkout."""
    plain = Report(
        provider=Provider.GITHUB, external_id="deployment/7", event="deployment_status", status=status, at=at,
        requested_at=NOON, service="checkout", environment="production", version="v2", revision="c0ffee",
        repository="acme/checkout", actor="octocat", url="https://example.com/7", description="rolls out",
    )  # fmt: skip
    return replace(plain, **changes)


def deployment_status(state: str = "success", at: str = "2026-05-04T12:05:00Z", number: int = 7) -> dict[str, Any]:
    """Return the body of a `deployment_status` webhook, with the fields that matter and a few that do not."""
    return {
        "action": "created",
        "deployment_status": {
            "id": 99, "state": state, "environment": "production", "description": "rolled out",
            "created_at": at, "updated_at": at, "target_url": "https://example.com/log", "creator": {"login": "bot"},
        },
        "deployment": {
            "id": number, "sha": "c0ffee", "ref": "main", "task": "deploy", "environment": "production",
            "payload": {"service": "checkout", "version": "v2"}, "description": None, "creator": {"login": "octocat"},
            "created_at": "2026-05-04T12:00:00Z", "updated_at": at,
        },
        "repository": {
            "id": 1, "name": "shop", "full_name": "acme/shop", "html_url": "https://example.com/acme/shop",
        },
    }  # fmt: skip


def workflow_run(**changes: Any) -> dict[str, Any]:
    """Return the body of a `workflow_run` webhook of a workflow that deploys."""
    run = {
        "id": 11, "name": "Deploy to production", "path": ".github/workflows/cd.yml", "run_attempt": 2,
        "status": "completed", "conclusion": "success", "head_branch": "main", "head_sha": "c0ffee",
        "created_at": "2026-05-04T11:00:00Z", "run_started_at": "2026-05-04T12:00:00Z",
        "updated_at": "2026-05-04T12:04:00Z", "html_url": "https://example.com/runs/11", "actor": {"login": "octocat"},
        "display_title": "Ship it",
    }  # fmt: skip
    return {
        "action": "completed",
        "workflow_run": run | changes,
        "workflow": {"name": "cd"},
        "repository": {"name": "shop", "full_name": "acme/shop"},
    }


def argocd_sync(**changes: Any) -> dict[str, Any]:
    """Return the body our Argo CD template makes of a sync that ended well."""
    body = {
        "app": "checkout-prod", "namespace": "argocd", "project": "shop", "service": "checkout", "environment": "",
        "revision": "c0ffee", "revisions": [], "sources": [],
        "sync_status": "Synced", "health_status": "Healthy", "operation_phase": "Succeeded",
        "operation_message": "successfully synced", "started_at": "2026-05-04T12:00:00Z",
        "finished_at": "2026-05-04T12:01:00Z", "destination_namespace": "production",
        "images": ["registry.example.com:5000/shop/checkout:1.4.2", "proxy:3"],
        "repository": "https://user:pass@example.com/acme/shop.git", "initiated_by": "octocat",
        "url": "https://argocd.example.com/applications/argocd/checkout-prod",
    }  # fmt: skip
    return body | changes


def github_push(**changes: Any) -> dict[str, Any]:
    """Return the body of a `push` webhook to the default branch that touches two folders."""
    body = {
        "ref": "refs/heads/main", "after": "c0ffee" * 6 + "c0ff", "deleted": False, "compare": "https://example.com/diff",
        "head_commit": {"message": "Faster carts", "timestamp": "2026-05-04T11:59:00+02:00"},
        "commits": [
            {"added": ["services/cart/a.py"], "modified": [], "removed": []},
            {"added": [], "modified": ["services/checkout/b.py", "README.md"], "removed": ["services/cart/old.py"]},
        ],
        "repository": {
            "name": "shop", "full_name": "acme/shop", "default_branch": "main", "pushed_at": int(NOON.timestamp()),
        },
        "sender": {"login": "octocat"},
    }  # fmt: skip
    return body | changes


def github_release(action: str = "published", **changes: Any) -> dict[str, Any]:
    """Return the body of a `release` webhook."""
    release = {
        "id": 5, "tag_name": "v2", "target_commitish": "main", "name": "Two", "html_url": "https://example.com/v2",
        "created_at": "2026-05-04T11:00:00Z", "published_at": "2026-05-04T12:00:00Z", "author": {"login": "octocat"},
    }  # fmt: skip
    repository = {"name": "shop", "full_name": "acme/shop"}
    return {"action": action, "release": release | changes, "repository": repository}


def check_suite(**changes: Any) -> dict[str, Any]:
    """Return the body of a `check_suite` webhook of checks that passed."""
    suite = {
        "id": 8, "status": "completed", "conclusion": "success", "head_branch": "main", "head_sha": "c0ffee",
        "created_at": "2026-05-04T12:00:00Z", "updated_at": "2026-05-04T12:03:00Z",
    }  # fmt: skip
    repository = {"name": "shop", "full_name": "acme/shop", "html_url": "https://example.com/acme/shop"}
    return {"action": "completed", "check_suite": suite | changes, "repository": repository}


def gitlab_deployment(**changes: Any) -> dict[str, Any]:
    """Return the body of GitLab's `deployment` webhook."""
    body = {
        "object_kind": "deployment", "status": "success", "status_changed_at": "2026-05-04 14:05:00 +0200",
        "deployment_id": 15, "deployable_url": "https://gitlab.example.com/acme/shop/-/jobs/796",
        "environment": "production", "short_sha": "c0ffee12", "ref": "v2", "commit_title": "Faster carts",
        "commit_url": "https://gitlab.example.com/acme/shop/-/commit/" + "c0ffee12" * 5, "user": {"username": "tanuki"},
        "project": {"id": 3, "path_with_namespace": "acme/shop", "web_url": "https://gitlab.example.com/acme/shop"},
    }  # fmt: skip
    return body | changes


def gitlab_pipeline(**changes: Any) -> dict[str, Any]:
    """Return the body of GitLab's `pipeline` webhook."""
    pipeline = {
        "id": 31, "ref": "main", "sha": "c0ffee", "status": "success", "created_at": "2026-05-04 12:00:00 UTC",
        "finished_at": "2026-05-04 12:09:00 UTC",
    }  # fmt: skip
    return {
        "object_kind": "pipeline",
        "object_attributes": pipeline | changes,
        "project": {"id": 3, "path_with_namespace": "acme/shop", "web_url": "https://gitlab.example.com/acme/shop"},
        "user": {"username": "tanuki"},
        "commit": {"title": "Faster carts"},
    }


def generic_change(**changes: Any) -> dict[str, Any]:
    """Return a body of the generic door."""
    body = {
        "id": "release-77", "status": "succeeded", "time": "2026-05-04T12:05:00Z", "service": "checkout",
        "environment": "production", "version": "v2", "started_at": "2026-05-04T12:00:00Z",
    }  # fmt: skip
    return body | changes


def without(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return a copy of a body that lacks the field at a dotted path."""
    found = copy.deepcopy(dict(body))
    *parents, last = path.split(".")
    inner = found
    for step in parents:
        inner = inner[step]
    del inner[last]
    return found


def github_headers(
    body: bytes, event: str = "deployment_status", delivery: str = "d-1", secret: str = SECRET
) -> dict[str, str]:
    """Return the headers GitHub sends with a body, names in lower case."""
    return {
        "content-type": "application/json",
        "x-github-event": event,
        "x-github-delivery": delivery,
        "x-hub-signature-256": github_signature(secret, body),
    }


def as_bytes(body: Mapping[str, Any]) -> bytes:
    """Return a body as it travels."""
    return json.dumps(body).encode()


class MemoryDeploys:
    """Implements ports.DeployStore; passes the same suite as PostgreSQL (deploy_store_suite.py)."""

    def __init__(self) -> None:
        self.announced: list[Deploy] = []
        self.unread: dict[tuple[str, str, str], list[Unread]] = {}
        self._deliveries: set[tuple[str, str, str]] = set()
        self._reports: dict[tuple[str, str], list[Report]] = {}
        self._deploys: dict[tuple[str, str], Deploy] = {}

    async def record(self, tenant: str, report: Report, delivery: str) -> Recorded:
        """Add a report."""
        if delivery and (tenant, report.provider, delivery) in self._deliveries:
            return Recorded(Effect.DUPLICATE_DELIVERY, None)
        self._deliveries.add((tenant, report.provider, delivery))
        key = (tenant, deploy_id(tenant, report.provider, report.external_id))
        said = self._reports.setdefault(key, [])
        if not any((r.event, r.status, r.at) == (report.event, report.status, report.at) for r in said):
            said.append(report)
        after, before = combine(tenant, said), self._deploys.get(key)
        if before is not None and same_reports(before, after):
            return Recorded(Effect.UNCHANGED, before)
        theirs = [d for (owner, _), d in self._deploys.items() if (owner, d.service) == (tenant, after.service)]
        changed = moved(after, [d for d in theirs if d.kind is Kind.DEPLOY])
        self._deploys |= {(tenant, d.id): d for d in changed}
        self.announced += changed
        return Recorded(Effect.RECORDED, changed[0])

    async def keep_unread(self, tenant: str, unread: Unread) -> None:
        """Keep a delivery that could not be read, once."""
        self.unread.setdefault((tenant, unread.provider, unread.delivery), []).append(unread)

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None."""
        return self._deploys.get((tenant, deploy_id))

    async def tells_deployments(self, tenant: str, repository: str) -> bool:
        """Tell whether GitHub reported deployments of a repository."""
        events = ("deployment", "deployment_status")
        of_it = [d for (owner, _), d in self._deploys.items() if (owner, d.repository) == (tenant, repository)]
        return any(d.provider is Provider.GITHUB and d.event in events for d in of_it)

    async def touching(self, tenant: str, query: DeployQuery, limit: int) -> list[Deploy]:
        """Return deploys that touched the window, newest first."""
        found = [
            deploy
            for (owner, _), deploy in self._deploys.items()
            if owner == tenant
            and query.only.admits(deploy)
            and (not query.services or deploy.service in query.services)
            and deploy.started_at < query.window.end
            and (deploy.finished_at or deploy.updated_at) >= query.window.start
            and (query.after is None or (deploy.started_at, deploy.id) < (query.after.started_at, query.after.id))
        ]
        return sorted(found, key=lambda d: (d.started_at, d.id), reverse=True)[:limit]
