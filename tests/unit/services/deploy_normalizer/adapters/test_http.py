"""The HTTP doors: tenant, size, status and reason of every answer."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from libs.access.tenants import TenantRegistry
from libs.kernel.errors import Unavailable
from services.deploy_normalizer.adapters import http
from services.deploy_normalizer.adapters.http import MAX_BODY_BYTES, Webhook, webhook_app
from services.deploy_normalizer.domain.github import GithubRules
from services.deploy_normalizer.domain.tenant_secrets import Secrets, derived
from services.deploy_normalizer.handlers.answers import Answer
from services.deploy_normalizer.handlers.webhooks import ArgocdWebhook, GithubWebhook
from tests.unit.services.deploy_normalizer.world import (
    ROOT_SECRET,
    SECRET,
    TOKEN,
    MemoryDeploys,
    argocd_sync,
    as_bytes,
    deployment_status,
    github_headers,
    without,
    workflow_run,
)

KEY_HASH = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"
TENANTS = {"tenants": [{"id": "default"}, {"id": "acme", "api_keys_sha256": [KEY_HASH]}]}


def registry(anonymous: str = "default") -> TenantRegistry:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tenants.json"
        path.write_text(json.dumps(TENANTS))
        return TenantRegistry(path, anonymous)


@dataclass
class Doors:
    """An app over a store in memory, called in-process."""

    anonymous: str = "default"
    secret: str = SECRET
    store: MemoryDeploys = field(default_factory=MemoryDeploys)
    webhooks: Mapping[str, Webhook] | None = None

    def post(self, path: str, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str]) -> httpx.Response:
        """POST once and return the answer."""
        return asyncio.run(self._post(path, body, headers))

    async def _post(self, path: str, body: bytes | AsyncIterator[bytes], headers: Mapping[str, str]) -> httpx.Response:
        webhooks = self.webhooks or {
            "github": GithubWebhook(
                self.store, Secrets(self.secret, tenant="default", root=ROOT_SECRET, provider="github"), GithubRules()
            ),
            "argocd": ArgocdWebhook(self.store, Secrets(TOKEN, tenant="default", root=ROOT_SECRET, provider="argocd")),
        }
        app = webhook_app(webhooks, registry(self.anonymous), [])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, content=body, headers=dict(headers))


GOOD = as_bytes(deployment_status())


def said(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["reason"]


def test_a_deployment_is_kept_for_the_anonymous_tenant() -> None:
    doors = Doors()
    response = doors.post("/webhooks/github", GOOD, github_headers(GOOD))
    assert said(response) == (200, "recorded")
    assert [(d.tenant, d.id) for d in doors.store.announced] == [("default", response.json()["deploy_id"])]


def test_a_deployment_is_kept_for_the_tenant_in_the_path() -> None:
    doors = Doors(anonymous="")
    headers = github_headers(GOOD, secret=derived(ROOT_SECRET, "github", "acme"))
    assert said(doors.post("/webhooks/acme/github", GOOD, headers)) == (200, "recorded")
    assert [d.tenant for d in doors.store.announced] == ["acme"]


@pytest.mark.parametrize(
    ("tenant", "secret"),
    [
        ("acme", SECRET),
        ("acme", derived(SECRET, "github", "acme")),
        ("acme", derived(ROOT_SECRET, "gitlab", "acme")),
        ("default", derived(ROOT_SECRET, "github", "acme")),
    ],
)
def test_the_secret_of_one_tenant_opens_no_path_of_another(tenant: str, secret: str) -> None:
    doors, argo = Doors(), as_bytes(argocd_sync())
    headers = github_headers(GOOD, secret=secret)
    assert said(doors.post(f"/webhooks/{tenant}/github", GOOD, headers)) == (401, "bad_signature")
    bearer = {"content-type": "application/json", "authorization": f"Bearer {derived(ROOT_SECRET, 'argocd', 'other')}"}
    assert said(doors.post(f"/webhooks/{tenant}/argocd", argo, bearer)) == (401, "bad_signature")
    assert doors.store.announced == []


def test_a_deployment_is_kept_for_the_tenant_of_the_api_key() -> None:
    doors = Doors(anonymous="")
    headers = github_headers(GOOD, secret=derived(ROOT_SECRET, "github", "acme")) | {"x-api-key": "key"}
    assert said(doors.post("/webhooks/github", GOOD, headers)) == (200, "recorded")
    assert [d.tenant for d in doors.store.announced] == ["acme"]


@pytest.mark.parametrize("scheme", ["Bearer {}", "Token {}", "{}"])
def test_argo_cds_token_is_not_taken_for_an_api_key(scheme: str) -> None:
    doors = Doors(webhooks={"argocd": ArgocdWebhook(MemoryDeploys(), Secrets("argo-token", tenant="default"))})
    headers = {"content-type": "application/json", "authorization": scheme.format("argo-token")}
    assert said(doors.post("/webhooks/argocd", as_bytes(argocd_sync()), headers)) == (200, "recorded")


@pytest.mark.parametrize(
    ("authorization", "status", "reason", "kept"),
    [
        ("Basic YW55Ym9keTprZXk=", 200, "recorded", ["acme"]),
        ("ApiKey key", 200, "recorded", ["acme"]),
        ("Basic YW55Ym9keTpndWVzcw==", 401, "unknown_api_key", []),
        ("Digest username=key", 401, "missing_credentials", []),
        ("Bearer", 401, "missing_credentials", []),
    ],
)
def test_a_key_in_any_scheme_names_the_tenant_and_never_the_anonymous_one(
    authorization: str, status: int, reason: str, kept: list[str]
) -> None:
    doors = Doors()
    headers = github_headers(GOOD, secret=derived(ROOT_SECRET, "github", "acme")) | {"authorization": authorization}
    assert said(doors.post("/webhooks/github", GOOD, headers)) == (status, reason)
    assert [d.tenant for d in doors.store.announced] == kept


def test_ignored_events_are_answered_with_202_and_the_reason() -> None:
    body = as_bytes(workflow_run(name="test", path="test.yml"))
    assert said(Doors().post("/webhooks/github", body, github_headers(body, "workflow_run"))) == (
        202,
        "not_a_deploy_workflow",
    )


@pytest.mark.parametrize(
    ("path", "anonymous", "headers", "status", "reason"),
    [
        ("/webhooks/ghost/github", "", {}, 404, "unknown_tenant"),
        ("/webhooks/github", "", {}, 401, "missing_credentials"),
        ("/webhooks/github", "default", {"x-api-key": "guess"}, 401, "unknown_api_key"),
    ],
)
def test_an_unknown_tenant_is_refused_with_the_reason(
    path: str, anonymous: str, headers: dict[str, str], status: int, reason: str
) -> None:
    doors = Doors(anonymous=anonymous)
    assert said(doors.post(path, GOOD, github_headers(GOOD) | headers)) == (status, reason)
    assert doors.store.announced == []


@pytest.mark.parametrize(
    ("body", "changes", "status", "reason"),
    [
        (GOOD, {"x-hub-signature-256": ""}, 401, "missing_signature"),
        (GOOD, {"x-hub-signature-256": "sha1=abc"}, 401, "malformed_signature"),
        (GOOD, {"x-hub-signature-256": "sha256=" + "0" * 64}, 401, "bad_signature"),
        (GOOD, {"content-type": "text/plain"}, 415, "unsupported_content_type"),
        (GOOD, {"x-github-event": ""}, 400, "missing_header"),
        (GOOD, {"x-github-delivery": ""}, 400, "missing_header"),
        (GOOD[:-20], {}, 400, "malformed_json"),
        (bytes(range(256)), {}, 400, "malformed_json"),
        (GOOD, {"content-type": "application/x-www-form-urlencoded"}, 400, "malformed_form"),
        (as_bytes(without(deployment_status(), "deployment.id")), {}, 422, "missing_field"),
        (as_bytes(deployment_status("sideways")), {}, 422, "bad_field"),
        (b"x" * (MAX_BODY_BYTES + 1), {}, 413, "body_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_input_gets_its_status_and_reason_and_keeps_nothing(
    body: bytes, changes: dict[str, str], status: int, reason: str
) -> None:
    doors = Doors()
    response = doors.post("/webhooks/github", body, github_headers(body) | changes)
    assert said(response) == (status, reason)
    assert response.json()["message"]
    assert response.json()["outcome"] == "refused"
    assert doors.store.announced == []


def test_a_missing_field_is_named_in_the_answer() -> None:
    body = as_bytes(without(deployment_status(), "deployment.id"))
    assert "`deployment.id`" in Doors().post("/webhooks/github", body, github_headers(body)).json()["message"]


def test_without_a_secret_every_delivery_is_refused_with_503() -> None:
    doors = Doors(secret="")
    response = doors.post("/webhooks/github", GOOD, github_headers(GOOD))
    assert said(response) == (503, "not_configured")
    assert "GITHUB_WEBHOOK_SECRET" in response.json()["message"]


def test_the_largest_body_still_passes() -> None:
    body = as_bytes(deployment_status() | {"padding": ""})
    body = body[:-2] + b"x" * (MAX_BODY_BYTES - len(body)) + body[-2:]
    assert said(Doors().post("/webhooks/github", body, github_headers(body))) == (200, "recorded")


def test_a_store_that_does_not_answer_gives_503_so_that_it_is_sent_again() -> None:
    class Down:
        async def receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: ARG002
            raise Unavailable("Postgres does not answer: connection refused at 10.0.0.1")

    response = Doors(webhooks={"github": Down()}).post("/webhooks/github", GOOD, github_headers(GOOD))
    assert said(response) == (503, "unavailable")
    assert "10.0.0.1" not in response.text


def test_a_store_that_takes_too_long_is_given_up_before_github_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        async def receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Answer:  # noqa: ARG002
            await asyncio.sleep(5)
            raise AssertionError("should have been cancelled")

    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.05)
    response = Doors(webhooks={"github": Slow()}).post("/webhooks/github", GOOD, github_headers(GOOD))
    assert said(response) == (503, "unavailable")


def test_a_body_that_does_not_arrive_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(2)
        yield b"}"

    assert said(Doors().post("/webhooks/github", trickle(), github_headers(b"{}"))) == (408, "body_too_slow")


def test_a_connection_that_closes_half_way_keeps_nothing() -> None:
    doors = Doors()
    messages: list[Message] = [
        {"type": "http.request", "body": GOOD[:40], "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    async def call() -> None:
        webhook = GithubWebhook(doors.store, Secrets(SECRET, tenant="default"), GithubRules())
        app = webhook_app({"github": webhook}, registry(), [])
        await app(_scope("/webhooks/github", github_headers(GOOD)), receive, send)

    asyncio.run(call())
    assert sent[0]["status"] == 400
    assert b"incomplete_body" in sent[1]["body"]
    assert doors.store.announced == []


def _scope(path: str, headers: Mapping[str, str]) -> Scope:
    raw: list[Any] = [(k.encode(), v.encode()) for k, v in headers.items()]
    return {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": raw, "http_version": "1.1", "scheme": "http", "server": ("test", 80), "client": ("test", 1),
        "root_path": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/webhooks/github", 405), ("POST", "/webhooks/gitea", 404), ("POST", "/webhooks/a/b/github", 404)],
)
def test_other_paths_and_methods_are_refused(method: str, path: str, status: int) -> None:
    async def call() -> int:
        app = webhook_app(
            {"github": GithubWebhook(MemoryDeploys(), Secrets(SECRET, tenant="default"), GithubRules())}, registry(), []
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return (await client.request(method, path)).status_code

    assert asyncio.run(call()) == status
