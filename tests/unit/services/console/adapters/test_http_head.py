"""HEAD is answered like GET on every route that reads, of every app."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.console.adapters.http_head import HeadLikeGet
from tests.access_world import MINE, Doors, http_doors
from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World

VARYING = ("date", "set-cookie")
STREAMS = ("/events", ":watch")
KEY = {"x-api-key": f"{MINE}-admin"}


def reads(doors: Doors) -> list[tuple[str, str]]:
    """Return service and path of every route that answers GET."""
    ids = {"incident_id": doors.console.main.id, "service": "checkout", "version": 1, "action": "x"}
    ids["task_id"] = ids["incident_id"]
    return [
        (service, route.path_format.format(**{name: ids[name] for name in route.param_convertors}))
        for service, app in doors.apps.items()
        for route in app.router.routes
        if "GET" in (getattr(route, "methods", None) or ())
    ]


def test_head_is_answered_like_get_by_every_route_that_reads(tmp_path: Path) -> None:
    doors = http_doors(tmp_path)
    paths = reads(doors)
    assert {"/status/api/v2/summary.json", "/status/history.atom", "/api/v1/incidents", "/", "/healthz"} <= {
        path for _, path in paths
    }
    for service, path in paths:
        client = Client(doors.outer[service])
        if path.endswith(STREAMS):
            continue
        got, asked = (client.request(method, path, headers=KEY) for method in ("GET", "HEAD"))
        assert (asked.status_code, asked.content) == (got.status_code, b""), (service, path)
        if path != "/metrics":  # which counts its own answers
            kept = [{k: v for k, v in a.headers.items() if k not in VARYING} for a in (got, asked)]
            assert kept[0] == kept[1], (service, path)


def test_head_of_a_stream_ends_with_its_headers(client: Client) -> None:
    for path in ("/events", "/api/v1/incidents:watch"):
        answer = client.request("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("path", ["/incidents/x/resolve", "/sign-out", "/api/v1/incidents/x:resolve"])
def test_head_writes_nothing(client: Client, world: World, path: str) -> None:
    before = world.main.version
    assert client.request("HEAD", path).status_code in (400, 404, 405)
    assert world.main.version == before


def test_what_is_wrong_is_told_by_head_as_by_get(client: Client) -> None:
    for path, headers, status in (
        ("/api/v1/incidents/none", {}, 400), ("/status/api/v2/summary.json", {"x-api-key": "wrong"}, 401),
        ("/api/v1/incidents?page_size=x", {}, 400), ("/nowhere", {}, 404),
    ):  # fmt: skip
        got, asked = (client.request(method, path, headers=headers) for method in ("GET", "HEAD"))
        assert (got.status_code, asked.status_code, asked.content) == (status, status, b""), path


def test_an_application_that_fails_fails_for_head_too_and_is_stopped_with_its_caller() -> None:
    stopped: list[bool] = []

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("oh")

    async def hangs(_scope: Scope, _receive: Receive, _send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    async def call(app: Any) -> None:
        async def nothing() -> Message:
            return {"type": "http.disconnect"}

        async def nowhere(_message: Message) -> None:
            return None

        await asyncio.wait_for(HeadLikeGet(app)({"type": "http", "method": "HEAD"}, nothing, nowhere), 0.05)

    with pytest.raises(RuntimeError, match="oh"):
        asyncio.run(call(fails))
    with pytest.raises(TimeoutError):
        asyncio.run(call(hangs))
    assert stopped == [True]
