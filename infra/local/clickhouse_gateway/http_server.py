"""ClickHouse's HTTP interface: statements by URL or body, `/ping`, errors with their code in a header."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.engine import Engine
from infra.local.clickhouse_gateway.errors import CANNOT_DECOMPRESS, EngineError, http_status
from infra.local.clickhouse_gateway.http_answer import Answer
from infra.local.clickhouse_gateway.http_encodings import BodyDecoder
from infra.local.clickhouse_gateway.http_form import Table, is_form, read_form
from infra.local.clickhouse_gateway.http_request import HttpQuery, read_request
from infra.local.clickhouse_gateway.http_sessions import HttpSessions
from infra.local.clickhouse_gateway.native_connection import Credentials
from infra.local.clickhouse_gateway.spool import SpoolFile, SpoolFolder
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated

MAX_RUNNING = 64
_MAX_HEADER_BYTES = 1 << 20  # a query may stand in the URL
_MAX_DRAIN_BYTES = 1 << 30


class _Aborted(Exception):
    """A result failed after its first bytes were sent; the connection is cut, so that nobody takes it for whole."""


class _QuietAborts(logging.Filter):
    """Keeps out of the log what the client has been told already."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], _Aborted)


class HttpApi:
    """The handlers of the interface."""

    def __init__(self, engine: Engine, spool: SpoolFolder, credentials: Credentials) -> None:
        self._engine = engine
        self._spool = spool
        self._credentials = credentials
        self._limit: anyio.CapacityLimiter | None = None
        self.sessions = HttpSessions(engine)

    def routes(self) -> list[Route]:
        """Return the paths and their handlers."""
        return [
            Route("/ping", self._ping, methods=["GET", "HEAD", "POST"]),
            Route("/replicas_status", self._ping, methods=["GET", "HEAD"]),
            Route("/", self._query, methods=["GET", "HEAD", "POST"]),
            Route("/{path:path}", self._unknown, methods=["GET", "HEAD", "POST", "PUT", "DELETE"]),
        ]

    async def _ping(self, _request: Request) -> Response:
        return PlainTextResponse("Ok.\n")

    async def _unknown(self, request: Request) -> Response:
        text = f"There is no handle {request.url.path}. Use / or /ping for health checks.\n"
        return PlainTextResponse(text, HTTPStatus.NOT_FOUND)

    async def _query(self, request: Request) -> Response:
        try:
            wanted = _read(request, dict(request.query_params.multi_items()))
            self._credentials.check(wanted.user, wanted.password)
            if request.method == "GET" and not wanted.query:
                return PlainTextResponse("Ok.\n")
            return await self._answer(request, wanted)
        except EngineError as exc:
            return self._error(exc)
        except ClientDisconnect:
            return PlainTextResponse("", HTTPStatus.BAD_REQUEST)  # nobody reads it

    async def _answer(self, request: Request, wanted: HttpQuery) -> Response:
        with ExitStack() as opened:
            body, tables = opened.enter_context(self._spool.file()), list[Table]()
            await _receive(request, wanted, body)
            if is_form(content_type := request.headers.get("content-type", "")):
                form = await run_in_threadpool(read_form, content_type, body, self._spool, opened)
                url = dict(request.query_params.multi_items())
                wanted, tables = _read(request, form.parameters(url)), form.tables(url)
                body = opened.enter_context(self._spool.file())
            answer = Answer(wanted, self.sessions, self._spool)
            answer.headers["X-ClickHouse-Server-Display-Name"] = socket.gethostname()
            answer.headers["X-ClickHouse-Timezone"] = self._engine.timezone
            try:
                first = await self._watched(request, answer, answer.start, body, tables)
            except BaseException:
                answer.close()
                raise
        if answer.complete:
            answer.close()
            return Response(first, headers=answer.headers)
        return StreamingResponse(self._pieces(request, answer, first), headers=answer.headers)

    async def _pieces(self, request: Request, answer: Answer, first: bytes) -> AsyncIterator[bytes]:
        try:
            piece = first
            while piece:
                yield piece
                piece = await self._watched(request, answer, answer.next_piece)
        except EngineError as exc:
            yield answer.failure(self._text(exc))
            raise _Aborted(exc.text()) from exc
        finally:
            answer.close()

    async def _watched(self, request: Request, answer: Answer, action: Callable[..., bytes], *arguments: Any) -> bytes:
        """Run a step of an answer in a thread; a query whose client leaves meanwhile is stopped."""
        # Its own limit, as the loop's default is shared and lower
        self._limit = self._limit or anyio.CapacityLimiter(MAX_RUNNING)
        watch = asyncio.create_task(_abandon_when_left(request, answer))
        try:
            return await anyio.to_thread.run_sync(action, *arguments, limiter=self._limit)
        finally:
            watch.cancel()

    def _error(self, error: EngineError) -> Response:
        headers = {"X-ClickHouse-Exception-Code": str(error.code)}
        return PlainTextResponse(self._text(error), http_status(error.code), headers)

    def _text(self, error: EngineError) -> str:
        return f"{error.text()} (version {self._engine.version})\n"


def _read(request: Request, parameters: Mapping[str, str]) -> HttpQuery:
    return read_request(request.method, parameters, request.headers)


async def _abandon_when_left(request: Request, answer: Answer) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    await run_in_threadpool(answer.abandon)


async def _receive(request: Request, wanted: HttpQuery, body: SpoolFile) -> None:
    """Store a request's body, decoded. Raises EngineError 229 beyond the limit, 271 on damaged encodings."""
    decoder = BodyDecoder(request.headers.get("content-encoding", ""), body.write)
    received = 0
    failure: EngineError | None = None
    async for data in request.stream():
        received += len(data)
        if failure is None:
            try:
                decoder.feed(data)
            except EngineError as exc:
                failure = exc
        elif received > _MAX_DRAIN_BYTES:
            break  # most clients read an answer only after their last byte, but not for ever
    if failure is not None:
        raise failure
    decoder.finish()
    if wanted.frames_in and body.size:
        await run_in_threadpool(_unpack, body)


def _unpack(body: SpoolFile) -> None:
    """Replace compressed frames by what they hold."""
    codec = Codec()
    with body.path.open("rb") as file:
        frames = ByteStream(file.read)
        body.replace(_unpacked(codec, frames))


def _unpacked(codec: Codec, frames: ByteStream) -> Iterator[bytes]:
    try:
        while not frames.at_end():
            yield codec.unpack(frames)
    except Truncated as exc:
        raise EngineError(CANNOT_DECOMPRESS, "The last compressed frame is cut off", "CANNOT_DECOMPRESS") from exc


class HttpServer:
    """Serves a listening socket from a thread of its own until `stop`."""

    def __init__(self, listener: socket.socket, engine: Engine, spool: SpoolFolder, credentials: Credentials) -> None:
        self._api = HttpApi(engine, spool, credentials)
        self._listener = listener
        config = uvicorn.Config(
            Starlette(routes=self._api.routes()), log_config=None, access_log=False, lifespan="off", http="h11",
            ws="none", h11_max_incomplete_event_size=_MAX_HEADER_BYTES, timeout_keep_alive=75, server_header=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer requests."""
        logging.getLogger("uvicorn.error").addFilter(_QuietAborts())
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Accept nobody any more, let running queries finish for so many seconds, cancel those that do not."""
        self._server.should_exit = True
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._api.sessions.cancel_all()
            self._server.force_exit = True
            self._thread.join(seconds)
        self._api.sessions.close()
        self._listener.close()
