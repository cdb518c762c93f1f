"""The doors over HTTP: status and reason for everything that can be wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from libs.access.tenants import TenantRegistry
from libs.kernel.clock import ManualClock
from libs.messaging.ports import DeliveryFailed
from libs.runtime.health import Health
from services.alert_router.adapters.http import Doors, build
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.listening import Listening
from services.alert_router.domain.naming import Naming
from services.alert_router.handlers import ReceiveAlerts
from tests.unit.services.alert_router.builders import NOW

LIMIT = 10_000
JSON = {"content-type": "application/json", "x-api-key": "key"}
PUSH, WEBHOOK = "/api/v2/alerts", "/webhooks/alertmanager"
GOOD = {PUSH: [{"labels": {"alertname": "Down"}}], WEBHOOK: {"version": "4", "alerts": []}}


class Published:
    """Keeps what is published, or refuses it."""

    def __init__(self) -> None:
        self.alerts: list[tuple[str, Alert]] = []
        self.broken = False

    async def publish(self, tenant: str, alerts: Sequence[Alert], now: datetime) -> None:
        if self.broken:
            raise DeliveryFailed(f"not at {now}")
        self.alerts += [(tenant, a) for a in alerts]


@pytest.fixture
def published() -> Published:
    return Published()


@pytest.fixture
def app(tmp_path: Path, published: Published) -> FastAPI:
    file = tmp_path / "tenants.json"
    digest = hashlib.sha256(b"key").hexdigest()
    file.write_text(json.dumps({"tenants": [{"id": "shop", "api_keys_sha256": [digest]}]}))
    doors = Doors(
        ReceiveAlerts(published, ManualClock(NOW), Listening(NOW)),
        TenantRegistry(file),
        Door("alertmanager", timedelta(hours=5), Conventions(Naming(("service",)))),
        Door("prometheus", timedelta(minutes=5), Conventions(Naming(("service",)))),
        LIMIT,
    )
    return build(doors, Health("alert_router").routes())


def post(app: FastAPI, path: str, content: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
    async def call() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as client:
            body = json.dumps(content) if isinstance(content, list | dict) else content
            return await client.post(path, content=body, headers=JSON if headers is None else headers)

    return asyncio.run(call())


@pytest.mark.parametrize("path", [PUSH, WEBHOOK])
def test_a_good_request_is_answered_with_200_and_no_body(app: FastAPI, path: str) -> None:
    answer = post(app, path, GOOD[path])
    assert (answer.status_code, answer.content) == (200, b"")


def test_alerts_are_published_for_the_tenant_of_the_key(app: FastAPI, published: Published) -> None:
    post(
        app,
        PUSH,
        [{"labels": {"alertname": "Down", "service": "cart"}}],
        {**JSON, "content-type": "application/json; charset=utf-8"},
    )
    ((tenant, alert),) = published.alerts
    assert (tenant, alert.service, alert.source, alert.updated_at) == ("shop", "cart", "prometheus", NOW)


REFUSED = {
    "no credentials": ({"content-type": "application/json"}, b"[]", 401, "missing_credentials"),
    "an unknown key": ({**JSON, "x-api-key": "wrong"}, b"[]", 401, "unknown_api_key"),
    "a tenant by header that is not trusted": (
        {"content-type": "application/json", "x-tenant-id": "shop"}, b"[]", 401, "missing_credentials",
    ),
    "a form": ({**JSON, "content-type": "application/x-www-form-urlencoded"}, b"a=b", 415, "wrong_content_type"),
    "no content type": ({"x-api-key": "key"}, b"[]", 415, "wrong_content_type"),
    "a compressed body": ({**JSON, "content-encoding": "gzip"}, b"\x1f\x8b", 415, "wrong_content_encoding"),
    "a large body": (JSON, b"[" + b" " * LIMIT + b"]", 413, "body_too_large"),
    "half of a body": (JSON, b'[{"labels":', 400, "malformed_json"),
    "random bytes": (JSON, bytes(range(256)), 400, "malformed_json"),
}  # fmt: skip


@pytest.mark.parametrize("path", [PUSH, WEBHOOK])
@pytest.mark.parametrize("what", REFUSED)
def test_a_bad_request_is_refused_with_status_and_reason(
    app: FastAPI, published: Published, what: str, path: str
) -> None:
    headers, body, status, reason = REFUSED[what]
    answer = post(app, path, body, headers)
    assert answer.status_code == status
    assert (
        answer.json().startswith(f"{reason}: ") if isinstance(answer.json(), str) else answer.json()["reason"] == reason
    )
    assert published.alerts == []


def test_a_body_without_length_is_bounded_too(app: FastAPI) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 1000

    assert post(app, PUSH, endless()).status_code == 413


def test_a_trusted_header_that_names_no_tenant_is_refused(app: FastAPI, tmp_path: Path) -> None:
    tenants = TenantRegistry(tmp_path / "tenants.json", trust_header=True)
    door = Door("prometheus", timedelta(minutes=5), Conventions(Naming(())))
    receive = ReceiveAlerts(Published(), ManualClock(NOW), Listening(NOW))
    trusting = build(Doors(receive, tenants, door, door, LIMIT), [])
    kind = {"content-type": "application/json"}
    refused = post(trusting, PUSH, [], {**kind, "x-tenant-id": "nobody"})
    assert (refused.status_code, refused.json()["reason"]) == (401, "unknown_tenant")
    assert post(trusting, PUSH, [], {**kind, "x-tenant-id": "shop"}).status_code == 200


def test_a_401_names_the_scheme(app: FastAPI) -> None:
    assert post(app, PUSH, [], {"content-type": "application/json"}).headers["www-authenticate"] == "Bearer"


def test_of_a_batch_the_good_alerts_are_stored_and_the_bad_named(app: FastAPI, published: Published) -> None:
    answer = post(app, PUSH, [{"labels": {"alertname": "A"}}, {"labels": {}}, {"labels": {"alertname": "B"}}])
    assert answer.status_code == 400
    assert answer.json() == (
        "no_labels: 1 of 3 alerts refused, the others stored: "
        "[1] no_labels: an alert needs at least one label with a value"
    )
    assert [a.name for _, a in published.alerts] == ["A", "B"]


@pytest.mark.parametrize("path", [PUSH, WEBHOOK])
def test_while_the_broker_is_down_nothing_is_acknowledged(app: FastAPI, published: Published, path: str) -> None:
    published.broken = True
    item = {"labels": {"alertname": "A"}, "status": "firing"}
    answer = post(app, path, [item] if path == PUSH else {"version": "4", "alerts": [item]})
    assert answer.status_code == 503
    assert (answer.json()["reason"], answer.headers["retry-after"]) == ("not_stored", "5")


def test_only_posting_is_allowed(app: FastAPI) -> None:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://router") as client:
            return await client.get(PUSH)

    assert asyncio.run(get()).status_code == 405
