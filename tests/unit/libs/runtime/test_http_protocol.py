"""Connections whose requests do not arrive, on a real socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from libs.runtime import http_protocol, lifecycle
from libs.runtime.bodies import CLOSE, BodyRefused, read_body
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.settings import ServiceSettings

HEAD = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _read(request: Request) -> PlainTextResponse:
    try:
        return PlainTextResponse(await read_body(request, 100, 0.5))
    except BodyRefused as refused:
        return PlainTextResponse(str(refused), refused.status, CLOSE)


async def _slowly(_request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.6)
    return PlainTextResponse("at last")


async def _unread(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("no need")


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    routes = [Route(f"/{name}", f, methods=["POST"]) for name, f in
              (("read", _read), ("slowly", _slowly), ("unread", _unread))]  # fmt: skip
    process = Lifecycle("test", ServiceSettings(health_port=0))
    try:
        yield await process.serve_http(Starlette(routes=routes), 0, "127.0.0.1")
    finally:
        await process.close()


async def whole(reader: asyncio.StreamReader) -> bytes:
    """Return what comes before the end, be that orderly or, as bytes of ours are left over, not."""
    came = b""
    try:
        while piece := await reader.read(1000):
            came += piece
    except ConnectionResetError:
        return came
    return came


async def closed_after(streams: Streams, trickle: bytes = b"") -> tuple[bytes, float]:
    """Return what came until the server closed the connection, and when; meanwhile send a byte now and then."""
    reader, writer = streams
    began, reading = time.monotonic(), asyncio.create_task(whole(reader))
    while not reading.done():
        assert time.monotonic() - began < 5, "it was never closed"
        if trickle:
            writer.write(trickle)
        await asyncio.wait({reading}, timeout=0.05)
    writer.close()
    return await reading, time.monotonic() - began


@pytest.mark.parametrize(
    ("sent", "trickle"),
    [(b"", b""), (b"POST /read HT", b""), (b"POST /read HTTP/1.1\r\nx: ", b"a"), (HEAD % (b"unread", 1000), b"b")],
    ids=["nothing", "half a line", "headers without end", "the rest of a body nobody reads"],
)
def test_who_sends_no_whole_request_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes, trickle: bytes) -> None:
    async def story() -> None:
        async with served(monkeypatch) as port:
            streams = await asyncio.open_connection("127.0.0.1", port)
            streams[1].write(sent)
            _, seconds = await closed_after(streams, trickle)
            assert 0.25 < seconds < 3

    asyncio.run(story())


def test_a_body_that_trickles_in_is_answered_with_408_and_the_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with served(monkeypatch) as port:
            streams = await asyncio.open_connection("127.0.0.1", port)
            streams[1].write(HEAD % (b"read", 90))
            said, seconds = await closed_after(streams, b"b")
            assert said.startswith(b"HTTP/1.1 408 ")
            assert 0.45 < seconds < 3

    asyncio.run(story())


def test_who_sends_whole_requests_may_take_as_long_as_the_answer_and_keep_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        async with served(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for path, body, answer in ((b"slowly", b"", b"at last"), (b"read", b"abc", b"abc"), (b"read", b"d", b"d")):
                writer.write(HEAD % (path, len(body)) + body)
                assert (await asyncio.wait_for(reader.readuntil(answer), 5)).startswith(b"HTTP/1.1 200 ")
                await asyncio.sleep(0.5)  # between requests the keep-alive time counts, not that of a head
            writer.close()

    asyncio.run(story())


def test_a_connection_is_kept_for_longer_than_senders_pause_between_pushes(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[http_protocol.PatientProtocol] = []

    class Seen(http_protocol.PatientProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            made.append(self)

    async def story() -> None:
        monkeypatch.setattr(lifecycle, "PatientProtocol", Seen)
        async with served(monkeypatch) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD % (b"read", 1) + b"a")
            await asyncio.wait_for(reader.readuntil(b"\r\na"), 5)
            assert made[0]._dawdling is None
            closes = made[0].timeout_keep_alive_task
            assert closes is not None
            left = closes.when() - asyncio.get_running_loop().time()
            assert 60 < left <= http_protocol.KEEP_ALIVE_SECONDS  # Prometheus and Alertmanager push each minute at most
            writer.close()

    asyncio.run(story())
