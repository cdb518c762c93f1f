"""The GitLab and generic doors: what they take, and every way of being turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
import pytest

from libs.kernel.clock import ManualClock
from services.deploy_normalizer.adapters.http import MAX_BODY_BYTES, Webhook, webhook_app
from services.deploy_normalizer.domain.deploy import Kind
from services.deploy_normalizer.domain.mapping import parse_rules
from services.deploy_normalizer.domain.signature import github_signature
from services.deploy_normalizer.domain.standard_webhooks import standard_signature
from services.deploy_normalizer.domain.tenant_secrets import Secrets, derived
from services.deploy_normalizer.handlers.webhooks import GenericWebhook, GitlabWebhook
from tests.unit.services.deploy_normalizer.adapters.test_http import registry
from tests.unit.services.deploy_normalizer.world import (
    NOON,
    ROOT_SECRET,
    SECRET,
    TOKEN,
    MemoryDeploys,
    as_bytes,
    generic_change,
    gitlab_deployment,
    gitlab_pipeline,
    without,
)

SIGNING = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ="
JSON = {"content-type": "application/json"}
GITLAB, GENERIC = as_bytes(gitlab_deployment()), as_bytes(generic_change())


@dataclass
class Doors:
    """Both doors over a store in memory, at noon."""

    token: str = TOKEN
    signing: str = SIGNING
    secret: str = SECRET
    store: MemoryDeploys = field(default_factory=MemoryDeploys)

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        """POST once and return the status and the reason."""
        return asyncio.run(self._post(path, body, headers))

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        rules = parse_rules({"rules": [{"service": s, "match": {"paths": f"{s}/*"}} for s in ("cart", "ledger")]})
        clock = ManualClock(NOON)
        webhooks: dict[str, Webhook] = {
            "gitlab": GitlabWebhook(
                self.store, Secrets(self.token, {}, "default", ROOT_SECRET, "gitlab"),
                Secrets(self.signing, {}, "default", ROOT_SECRET, "gitlab-signing"),
                lambda: rules, clock,
            ),
            "generic": GenericWebhook(
                self.store, Secrets(self.secret, {}, "default", ROOT_SECRET, "generic"), lambda: rules, clock
            ),
        }  # fmt: skip
        app = webhook_app(webhooks, registry(), [])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            response = await client.post(path, content=body, headers=dict(headers))
            return response.status_code, response.json()["reason"]


def token(**changes: str) -> dict[str, str]:
    """Return the headers of a GitLab webhook with a secret token; `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    return JSON | {"x-gitlab-event": "Deployment Hook", "x-gitlab-token": TOKEN, "idempotency-key": "d-1"} | named


def standard(body: bytes, secret: str = SIGNING, delivery: str = "d-1", late_s: int = 0) -> dict[str, str]:
    """Return the headers of a Standard Webhooks delivery made that many seconds after noon."""
    stamp = str(int(NOON.timestamp()) + late_s)
    signature = standard_signature(secret, delivery, stamp, body)
    return JSON | {"webhook-id": delivery, "webhook-timestamp": stamp, "webhook-signature": signature}


def raw(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a delivery to the generic door signed over its body alone."""
    return JSON | {"x-signature-256": github_signature(secret, body)}


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/webhooks/gitlab", GITLAB, token()),
        ("/webhooks/gitlab", GITLAB, standard(GITLAB)),
        ("/webhooks/gitlab", as_bytes(gitlab_pipeline()), token()),
        ("/webhooks/acme/gitlab", GITLAB, token(x_gitlab_token=derived(ROOT_SECRET, "gitlab", "acme"))),
        ("/webhooks/acme/gitlab", GITLAB, standard(GITLAB, derived(ROOT_SECRET, "gitlab-signing", "acme"))),
        ("/webhooks/generic", GENERIC, raw(GENERIC)),
        ("/webhooks/acme/generic", GENERIC, standard(GENERIC, derived(ROOT_SECRET, "generic", "acme"))),
    ],
)
def test_an_authentic_delivery_is_recorded_and_a_replay_of_it_is_not(
    path: str, body: bytes, headers: dict[str, str]
) -> None:
    doors = Doors()
    assert doors.post(path, body, headers) == (200, "recorded")
    assert doors.post(path, body, headers) == (200, "duplicate_delivery")
    assert [d.tenant for d in doors.store.announced] == ["acme" if "acme" in path else "default"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/webhooks/acme/gitlab", GITLAB, token()),
        ("/webhooks/acme/gitlab", GITLAB, standard(GITLAB)),
        ("/webhooks/gitlab", GITLAB, token(x_gitlab_token=derived(ROOT_SECRET, "gitlab", "acme"))),
        ("/webhooks/acme/gitlab", GITLAB, token(x_gitlab_token=derived(TOKEN, "gitlab", "acme"))),
        ("/webhooks/acme/generic", GENERIC, raw(GENERIC)),
        ("/webhooks/acme/generic", GENERIC, standard(GENERIC, SECRET)),
        ("/webhooks/generic", GENERIC, raw(GENERIC, derived(ROOT_SECRET, "generic", "acme"))),
    ],
)
def test_the_secret_of_one_tenant_opens_no_path_of_another(path: str, body: bytes, headers: dict[str, str]) -> None:
    doors = Doors()
    assert doors.post(path, body, headers) == (401, "bad_signature")
    assert doors.store.announced == []


def test_a_gitlab_delivery_without_an_id_changes_nothing_when_repeated() -> None:
    doors, headers = Doors(), {k: v for k, v in token().items() if k != "idempotency-key"}
    assert doors.post("/webhooks/gitlab", GITLAB, headers) == (200, "recorded")
    assert doors.post("/webhooks/gitlab", GITLAB, headers) == (200, "unchanged")


def test_one_change_of_several_services_is_recorded_for_each_also_when_sent_again() -> None:
    doors = Doors()
    change = without(generic_change(paths=["ledger/a", "cart/b"], kind="configuration"), "service")
    body = as_bytes(change)
    assert doors.post("/webhooks/generic", body, raw(body)) == (200, "recorded")
    assert doors.post("/webhooks/generic", body, raw(body)) == (200, "duplicate_delivery")
    assert [(d.service, d.kind) for d in doors.store.announced] == [
        ("cart", Kind.CONFIGURATION), ("ledger", Kind.CONFIGURATION)
    ]  # fmt: skip


HUGE = b"{" + b" " * MAX_BODY_BYTES + b"}"
WIKI = as_bytes({"object_kind": "wiki_page"})


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (GITLAB, token(x_gitlab_token="guess"), 401, "bad_signature"),
        (GITLAB, token(x_gitlab_token=""), 401, "missing_signature"),
        (GITLAB, standard(GITLAB, "whsec_AAAA"), 401, "bad_signature"),
        (GITLAB, standard(GITLAB, "whsec_AAAA") | token(), 401, "bad_signature"),
        (GITLAB, standard(GENERIC), 401, "bad_signature"),
        (GITLAB, standard(GITLAB) | {"webhook-id": "d-2"}, 401, "bad_signature"),
        (GITLAB, standard(GITLAB) | {"webhook-timestamp": "soon"}, 401, "malformed_signature"),
        (GITLAB, standard(GITLAB) | {"webhook-signature": "v0,abc"}, 401, "malformed_signature"),
        (GITLAB, standard(GITLAB, late_s=-301), 401, "signature_expired"),
        (GITLAB, standard(GITLAB, late_s=301), 401, "signature_expired"),
        (GITLAB, token(content_type="text/plain"), 415, "unsupported_content_type"),
        (GITLAB, token(idempotency_key="x" * 129), 400, "bad_header"),
        (HUGE, token(), 413, "body_too_large"),
        (GITLAB[:-9], token(), 400, "malformed_json"),
        (b"[]", token(), 400, "malformed_json"),
        (b"\xff\x00", token(), 400, "malformed_json"),
        (WIKI, token(), 202, "unsupported_event"),
        (as_bytes({}), token(), 422, "missing_field"),
        (as_bytes(gitlab_deployment(status="?")), token(), 422, "bad_field"),
    ],
)
def test_gitlabs_door_turns_away_with_the_reason(
    body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    doors = Doors()
    assert doors.post("/webhooks/gitlab", body, headers) == (status, reason)
    assert doors.store.announced == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (GENERIC, raw(GENERIC, "guess"), 401, "bad_signature"),
        (GENERIC, raw(GITLAB), 401, "bad_signature"),
        (GENERIC, JSON, 401, "missing_signature"),
        (GENERIC, JSON | {"x-signature-256": "sha1=ab"}, 401, "malformed_signature"),
        (GENERIC, standard(GENERIC, "guess") | raw(GENERIC), 401, "bad_signature"),
        (GENERIC, standard(GENERIC, SECRET, late_s=301), 401, "signature_expired"),
        (GENERIC, raw(GENERIC) | {"content-type": "application/xml"}, 415, "unsupported_content_type"),
        (HUGE, raw(HUGE), 413, "body_too_large"),
        (b"{", raw(b"{"), 400, "malformed_json"),
        (b"", raw(b""), 400, "malformed_json"),
        (as_bytes({"id": 1}), raw(as_bytes({"id": 1})), 422, "missing_field"),
        (WIKI, raw(WIKI), 422, "bad_field"),
    ],
)
def test_the_generic_door_turns_away_with_the_reason(
    body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    doors = Doors()
    assert doors.post("/webhooks/generic", body, headers) == (status, reason)
    assert doors.store.announced == []


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [("/webhooks/gitlab", GITLAB, token()), ("/webhooks/generic", GENERIC, raw(GENERIC))],
)
def test_without_a_secret_a_door_is_closed(path: str, body: bytes, headers: dict[str, str]) -> None:
    doors = Doors(token="", signing="", secret="")
    assert doors.post(path, body, headers) == (503, "not_configured")


def test_gitlab_may_have_only_a_token_or_only_a_signing_secret() -> None:
    assert Doors(signing="").post("/webhooks/gitlab", GITLAB, token()) == (200, "recorded")
    assert Doors(token="").post("/webhooks/gitlab", GITLAB, standard(GITLAB)) == (200, "recorded")
    assert Doors(token="").post("/webhooks/gitlab", GITLAB, token()) == (401, "missing_signature")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (WIKI, "unsupported_event"),
        (b"{", "malformed_json"),
        (as_bytes(gitlab_deployment(status="bad\x00\ud800")), "bad_field"),
    ],
)
def test_what_is_authentic_but_cannot_be_read_is_kept_as_it_came(body: bytes, reason: str) -> None:
    doors = Doors()
    doors.post("/webhooks/gitlab", body, token())
    [[kept]] = doors.store.unread.values()
    assert (kept.body, kept.reason, kept.delivery, kept.event) == (body, reason, "d-1", "Deployment Hook")
    assert "\x00" not in kept.problem
    kept.problem.encode()


def test_what_is_not_authentic_is_not_kept() -> None:
    doors = Doors()
    doors.post("/webhooks/gitlab", WIKI, token(x_gitlab_token="guess"))
    assert doors.store.unread == {}
