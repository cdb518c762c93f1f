"""What is compressed, and what must not be: answers that other sites ask for, and streams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from incidentscope.incident.v1 import incident_service_pb2 as contract
from starlette.types import ASGIApp, Message

from tests.unit.services.console.client import Client
from tests.unit.services.console.world import World

GZIP = {"accept-encoding": "gzip"}


@pytest.mark.parametrize("path", ["/", "/?q=checkout", "/api/v1/incidents", "/static/console.css"])
@pytest.mark.parametrize("site", [None, "same-origin", "none", "same-site", "cross-site"])
def test_answers_are_compressed_unless_another_site_asks(client: Client, path: str, site: str | None) -> None:
    answer = client.get(path, headers=GZIP | ({"sec-fetch-site": site} if site else {}))
    compressed = answer.headers.get("content-encoding") == "gzip"
    assert (answer.status_code, compressed) == (200, site not in ("same-site", "cross-site"))


def test_who_cannot_unpack_is_sent_plain(client: Client) -> None:
    assert "content-encoding" not in client.get("/", headers={"accept-encoding": "identity"}).headers


async def first_parts(app: ASGIApp, path: str, wanted: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """Return the headers of an answer without an end, and what has come by the time that `wanted` has."""
    headers: dict[bytes, bytes] = {}
    came, there = bytearray(), asyncio.Event()

    async def receive() -> Message:
        await asyncio.Event().wait()  # the browser stays
        raise AssertionError

    async def send(message: Message) -> None:
        headers.update(message.get("headers", ()))
        came.extend(message.get("body", b""))
        if wanted in came:
            there.set()

    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"testserver"), (b"accept-encoding", b"gzip, br"), (b"sec-fetch-site", b"same-origin")],
        "http_version": "1.1", "scheme": "http", "server": ("testserver", 80), "root_path": "",
        "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"},
    }  # fmt: skip
    answering = asyncio.ensure_future(app(scope, receive, send))
    try:
        await asyncio.wait_for(there.wait(), 5)
        assert not answering.done()
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    return headers, bytes(came)


def test_the_stream_of_events_is_never_compressed_and_arrives_as_it_is_told(world: World) -> None:
    async def story() -> tuple[dict[bytes, bytes], bytes]:
        world.feed.open()
        world.feed.set_connected(True)
        return await first_parts(world.app(), "/events", b"event: pulse")

    headers, came = asyncio.run(story())
    assert b"content-encoding" not in headers
    assert came.startswith(b"retry: ")


@pytest.mark.parametrize("which", ["{id}:watch", ":watch"])
def test_a_watch_is_never_compressed_and_arrives_as_it_is_told(
    world: World, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def watched(_tenant: str, _request: object) -> object:
        yield contract.WatchIncidentResponse(incident=world.main)
        await asyncio.Event().wait()  # nothing more, for ever

    monkeypatch.setattr(world.incidents, "watch", watched)
    path = f"/api/v1/incidents{which.format(id='/' + world.main.id)}"
    headers, came = asyncio.run(first_parts(world.app(), path, b"event: incident\ndata: {"))
    assert b"content-encoding" not in headers
    assert world.main.id.encode() in came
