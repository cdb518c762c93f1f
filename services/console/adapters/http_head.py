"""HEAD as GET without its body (RFC 9110, 9.3.2), on every route that reads."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class HeadLikeGet:
    """ASGI middleware: has HEAD answered as GET, by the same route; what serves us leaves the body out.

    FastAPI answers HEAD with 405 where only GET is declared, and declared besides it would be described besides it. A
    stream, which has no end, ends with its headers.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        streaming = asyncio.Event()

        async def sending(message: Message) -> None:
            if streaming.is_set():
                return
            await send(message)
            if message["type"] == "http.response.start":
                kind = Headers(raw=message.get("headers", [])).get("content-type", "")
                if kind.startswith(STREAM):
                    streaming.set()
                    await send({"type": "http.response.body"})

        answering = asyncio.ensure_future(self.app({**scope, "method": "GET"}, receive, sending))
        ended = asyncio.create_task(streaming.wait())
        try:
            await asyncio.wait({answering, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not streaming.is_set():
                await answering
        finally:
            answering.cancel()
            ended.cancel()
            await asyncio.gather(answering, ended, return_exceptions=True)
