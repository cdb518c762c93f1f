"""GitHub webhooks to reports: `deployment`, `deployment_status` and `workflow_run`.

The service of a deployment is, in this order: the text `service` or `service.name` in the deployment's own `payload`;
the mapping rules (domain/mapping.py); the configured mapping of `owner/name@environment`, then of `owner/name`; the
repository's name. `task` and the environment's name are not consulted: `deploy:migrations` and `review/my-branch` are
common and name no service. A run of a workflow counts where the rules say that it deploys: never one of a pull request
or a fork, and by default only in a repository that sends no deployments (handlers/webhooks.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.deploy_normalizer.domain.deploy import Kind, Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    Json,
    identifier,
    link,
    lookup,
    one_of,
    optional_instant,
    optional_text,
    optional_version,
    prose,
    required_instant,
    required_text,
    section,
    text_of,
)
from services.deploy_normalizer.domain.mapping import ServiceRules, Subject
from services.deploy_normalizer.domain.refs import version_of

DEPLOYING_WORKFLOW = r"(?i)deploy|release|rollout"
# What the rule above finds and yet rolls nothing out; only the default rule is so unsure.
_NOT_DEPLOYING = re.compile(
    r"(?i)draft|preview|review|lint|dry.?run|please|notes|changelog|validat"
    r"|(?:^|[^a-z])(?:tests?|checks?|docs?|pages|labels?|ephemeral)(?:[^a-z]|$)"
)
_OF_PULL_REQUESTS = ("pull_request", "merge_group")  # the latter runs before a merge

DEPLOYMENT_STATES: Mapping[str, Status] = {
    "pending": Status.PENDING,
    "queued": Status.PENDING,
    "waiting": Status.PENDING,
    "in_progress": Status.IN_PROGRESS,
    "success": Status.SUCCEEDED,
    "failure": Status.FAILED,
    "error": Status.FAILED,
    "inactive": Status.INACTIVE,
}
RUN_STATUSES: Mapping[str, Status] = {
    "requested": Status.PENDING,
    "queued": Status.PENDING,
    "pending": Status.PENDING,
    "waiting": Status.PENDING,
    "in_progress": Status.IN_PROGRESS,
}
RUN_CONCLUSIONS: Mapping[str, Status] = {
    "success": Status.SUCCEEDED,
    "failure": Status.FAILED,
    "startup_failure": Status.FAILED,
    "timed_out": Status.FAILED,
    "cancelled": Status.FAILED,  # it may have rolled out in part
    "action_required": Status.PENDING,
    "neutral": Status.INACTIVE,
    "skipped": Status.INACTIVE,
    "stale": Status.INACTIVE,
}


class Ignored(StrEnum):
    """Why an authentic webhook tells of no change."""

    PING = "ping"
    UNSUPPORTED_EVENT = "unsupported_event"
    NOT_A_DEPLOY_WORKFLOW = "not_a_deploy_workflow"
    PULL_REQUEST = "pull_request"
    FORK = "fork"
    DEPLOYMENTS_TELL = "deployments_tell"
    REF_DELETED = "ref_deleted"
    OTHER_BRANCH = "other_branch"
    NOT_PUBLISHED = "not_published"


@dataclass(frozen=True, slots=True)
class GithubRules:
    """What differs between users: which workflows deploy, by name or file, and which service a repository holds."""

    deploying_workflow: re.Pattern[str] = field(default_factory=lambda: re.compile(DEPLOYING_WORKFLOW))
    services: Mapping[str, str] = field(default_factory=dict)
    mapping: ServiceRules = field(default_factory=ServiceRules)

    @property
    def by_default(self) -> bool:
        """Tell whether nobody said which workflows deploy: then a repository's deployments tell, where it has any."""
        return self.deploying_workflow.pattern == DEPLOYING_WORKFLOW

    def deploys(self, names: tuple[str, ...]) -> bool:
        """Tell whether a workflow of these names rolls something out."""
        found = [name for name in names if self.deploying_workflow.search(name)]
        unsure = self.by_default and any(_NOT_DEPLOYING.search(name) for name in found)
        return bool(found) and not unsure


def read(event: str, body: Json, rules: GithubRules) -> Report | Ignored:
    """Return what a webhook of that `X-GitHub-Event` reports; raises MissingField or BadField."""
    match event:
        case "deployment":
            return _deployment(body, rules)
        case "deployment_status":
            return _deployment_status(body, rules)
        case "workflow_run":
            return _workflow_run(body, rules)
        case "ping":
            return Ignored.PING
        case _:
            return Ignored.UNSUPPORTED_EVENT


def _deployment(body: Json, rules: GithubRules) -> Report:
    requested_at = required_instant(body, "deployment.created_at")
    return _of_deployment(
        body, rules, event="deployment", status=Status.PENDING, at=requested_at,
        environment=optional_text(body, "deployment.environment"),
        url=link(body, "workflow_run.html_url") or _deployments_page(body),
        description=prose(body, "deployment.description"),
    )  # fmt: skip


def _deployment_status(body: Json, rules: GithubRules) -> Report:
    section(body, "deployment_status")
    status = one_of(body, "deployment_status.state", DEPLOYMENT_STATES)
    at = optional_instant(body, "deployment_status.updated_at")
    at = at or required_instant(body, "deployment_status.created_at")
    pages = ("deployment_status.log_url", "deployment_status.target_url", "workflow_run.html_url")
    return _of_deployment(
        body, rules, event="deployment_status", status=status, at=at,
        began_at=at if status is Status.IN_PROGRESS else None,
        environment=optional_text(body, "deployment_status.environment")
        or optional_text(body, "deployment.environment"),
        url=next(filter(None, (link(body, page) for page in pages)), "") or _deployments_page(body),
        description=prose(body, "deployment_status.description") or prose(body, "deployment.description"),
    )  # fmt: skip


def _of_deployment(
    body: Json, rules: GithubRules, *, event: str, status: Status, at: datetime, environment: str, url: str,
    description: str, began_at: datetime | None = None,
) -> Report:  # fmt: skip
    section(body, "deployment")
    body = opened(body)
    found = service_of(body, environment, rules)
    return Report(
        provider=Provider.GITHUB,
        external_id=f"deployment/{identifier(body, 'deployment.id')}",
        event=event,
        status=status,
        at=at,
        requested_at=required_instant(body, "deployment.created_at"),
        began_at=began_at,
        service=_asked(body) or found,
        environment=environment,
        version=optional_version(body, "deployment.payload.version")
        or version_of(optional_text(body, "deployment.ref")),
        revision=optional_text(body, "deployment.sha"),
        repository=required_text(body, "repository.full_name"),
        actor=optional_text(body, "deployment.creator.login"),
        url=url,
        description=description,
        kind=Kind.PREVIEW if lookup(body, "deployment.transient_environment") is True else Kind.DEPLOY,
    )


def _workflow_run(body: Json, rules: GithubRules) -> Report | Ignored:
    section(body, "workflow_run")
    why = _changes_nothing(body, rules)
    if why is not None:
        return why
    status = run_status(body, "workflow_run")
    requested_at = required_instant(body, "workflow_run.created_at")
    began_at = optional_instant(body, "workflow_run.run_started_at")
    attempt = 1 if lookup(body, "workflow_run.run_attempt") is None else identifier(body, "workflow_run.run_attempt")
    return Report(
        provider=Provider.GITHUB,
        external_id=f"workflow_run/{identifier(body, 'workflow_run.id')}/{attempt}",
        event="workflow_run",
        status=status,
        at=optional_instant(body, "workflow_run.updated_at") or requested_at,
        requested_at=began_at or requested_at,
        began_at=None if status is Status.PENDING else began_at,
        service=service_of(body, "", rules),
        version=version_of(optional_text(body, "workflow_run.head_branch")),
        revision=optional_text(body, "workflow_run.head_sha"),
        repository=required_text(body, "repository.full_name"),
        actor=optional_text(body, "workflow_run.triggering_actor.login")
        or optional_text(body, "workflow_run.actor.login"),
        url=link(body, "workflow_run.html_url"),
        description=prose(body, "workflow_run.display_title") or _workflow_name(body),
    )


def run_status(body: Json, run: str) -> Status:
    """Return how far a workflow run or a suite of checks has come; raises MissingField or BadField."""
    if lookup(body, f"{run}.status") == "completed":
        return one_of(body, f"{run}.conclusion", RUN_CONCLUSIONS)
    return one_of(body, f"{run}.status", RUN_STATUSES)


def _changes_nothing(body: Json, rules: GithubRules) -> Ignored | None:
    """Return why a run of a workflow changes nothing that runs; None when it may."""
    if optional_text(body, "workflow_run.event").startswith(_OF_PULL_REQUESTS):
        return Ignored.PULL_REQUEST
    head = optional_text(body, "workflow_run.head_repository.full_name")
    if head and head.lower() != optional_text(body, "repository.full_name").lower():
        return Ignored.FORK
    path = optional_text(body, "workflow_run.path") or optional_text(body, "workflow.path")
    names = (_workflow_name(body), path.rpartition("/")[2])
    return None if rules.deploys(names) else Ignored.NOT_A_DEPLOY_WORKFLOW


def _workflow_name(body: Json) -> str:
    return optional_text(body, "workflow_run.name") or optional_text(body, "workflow.name")


def service_of(body: Json, environment: str, rules: GithubRules) -> str:
    """Return the service that rules, mapping or name find for a body's repository; raises MissingField or BadField."""
    name = required_text(body, "repository.name")
    repository = required_text(body, "repository.full_name")
    ruled = rules.mapping.services(Subject(Provider.GITHUB, repository=repository, environment=environment))
    mapped = rules.services.get(f"{repository}@{environment}") or rules.services.get(repository)
    return next(iter(ruled), "") or mapped or name


def _asked(body: Json) -> str:
    """Return the service that a deployment's own payload names, empty where it names none; raises BadField."""
    dotted = lookup(body, "deployment.payload")
    named = dotted.get("service.name") if isinstance(dotted, Mapping) else None
    return optional_text(body, "deployment.payload.service") or text_of(named, "deployment.payload.service.name")


def opened(body: Json) -> Json:
    """Return a body whose deployment's free `payload` is an object, also where it came as text that holds one."""
    value = lookup(body, "deployment.payload")
    if not isinstance(value, str):
        return body
    try:
        value = json.loads(value)
    except (ValueError, RecursionError):
        value = None
    return {**body, "deployment": {**section(body, "deployment"), "payload": value}}


def _deployments_page(body: Json) -> str:
    page = link(body, "repository.html_url")
    return f"{page}/deployments" if page else ""
