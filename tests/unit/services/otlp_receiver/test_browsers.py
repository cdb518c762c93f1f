"""Browsers at the OTLP/HTTP door: preflights, answers that pages may read, and what `sendBeacon` sends."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.otlp_receiver.adapters.checkers import Checkers
from services.otlp_receiver.adapters.http_door import HttpDoor
from services.otlp_receiver.handlers import Receiver, ReceiverMetrics
from services.otlp_receiver.origins import Origins
from tests.access_world import MINE, Nowhere, registry

PAGE = "https://shop.example.com"
EXPORT = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}]}]}]}).encode()


class Door:
    """A door for the pages of one origin, which takes calls without a key."""

    def __init__(self, folder: Path, allowed: str = PAGE) -> None:
        self.taken = Nowhere()
        receiver = Receiver(self.taken, Checkers(1), ReceiverMetrics(CollectorRegistry()))
        tenants = registry(folder, MINE, anonymous=MINE)
        self._app = HttpDoor(receiver, tenants, 10_000, 10_000, Origins.of(allowed)).app([])

    def send(self, method: str, headers: Mapping[str, str], body: bytes = b"") -> httpx.Response:
        """Send a request and return the answer."""

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, "/v1/logs", headers=dict(headers), content=body)

        return asyncio.run(call())

    def preflight(self, origin: str = PAGE, method: str = "POST", headers: str = "content-type") -> httpx.Response:
        """Ask what a browser asks first."""
        asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
        return self.send("OPTIONS", asked)


def shared_with(answer: httpx.Response) -> str | None:
    found: str | None = answer.headers.get("access-control-allow-origin")
    return found


def test_a_preflight_of_an_allowed_page_is_answered_without_a_key(tmp_path: Path) -> None:
    wanted = "authorization, content-encoding, content-type, traceparent, x-api-key"
    answer = Door(tmp_path).preflight(headers=wanted)
    assert (answer.status_code, shared_with(answer)) == (200, PAGE)
    allowed = {name: answer.headers[f"access-control-{name}"] for name in ("allow-methods", "allow-headers", "max-age")}
    assert allowed == {"allow-methods": "POST", "allow-headers": wanted, "max-age": "7200"}
    assert answer.headers["access-control-allow-credentials"] == "true"  # beacons are sent with what cookies there are


@pytest.mark.parametrize(
    ("allowed", "origin", "method"),
    [("", PAGE, "POST"), (PAGE, "https://evil.example.org", "POST"), (PAGE, "null", "POST"), (PAGE, PAGE, "DELETE")],
)
def test_any_other_preflight_is_refused(tmp_path: Path, allowed: str, origin: str, method: str) -> None:
    answer = Door(tmp_path, allowed).preflight(origin, method)
    assert answer.status_code == 400
    assert shared_with(answer) is None or method != "POST"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", "text/plain"])
def test_what_an_allowed_page_sends_is_taken_and_it_may_read_the_answer(tmp_path: Path, content_type: str) -> None:
    door = Door(tmp_path)
    answer = door.send("POST", {"origin": PAGE, "content-type": content_type}, EXPORT)
    assert (answer.status_code, answer.json(), shared_with(answer)) == (200, {}, PAGE)
    assert door.taken.tenants == [MINE]
    assert "Origin" in answer.headers["vary"]
    assert answer.headers["access-control-expose-headers"] == "Retry-After"


def test_a_page_may_read_why_it_is_refused(tmp_path: Path) -> None:
    door = Door(tmp_path)
    for headers, body, status in (
        ({"content-type": "application/json"}, b"{", 400), ({"content-type": "text/plain"}, b"{", 400),
        ({"content-type": "text/plain"}, b"hello", 415), ({"content-type": "text/html"}, EXPORT, 415),
        ({"content-type": "application/json", "x-api-key": "?"}, b"", 401),
    ):  # fmt: skip
        answer = door.send("POST", {"origin": PAGE, **headers}, body)
        assert (answer.status_code, shared_with(answer)) == (status, PAGE)
    assert door.taken.tenants == []


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "https://shop.example.com.evil.org"])
def test_a_beacon_of_another_page_is_refused_for_browsers_send_it_unasked(tmp_path: Path, origin: str) -> None:
    door = Door(tmp_path)
    answer = door.send("POST", {"origin": origin, "content-type": "text/plain"}, EXPORT)
    assert (answer.status_code, answer.json()["code"], shared_with(answer)) == (403, 7, None)
    assert "OTLP_ALLOWED_ORIGINS" in answer.json()["message"]
    assert door.taken.tenants == []


def test_without_an_origin_nothing_is_different(tmp_path: Path) -> None:
    door = Door(tmp_path, "")
    packed = {"content-type": "text/plain", "content-encoding": "gzip"}
    assert door.send("POST", packed, gzip.compress(EXPORT)).status_code == 200
    assert shared_with(door.send("POST", {"content-type": "application/json"}, EXPORT)) is None
    assert door.send("OPTIONS", {}).status_code == 405
