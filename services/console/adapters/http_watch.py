"""A stream of the incident service as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from google.protobuf.message import Message

from libs.kernel.errors import Unavailable
from services.console.adapters.http_json import as_json
from services.console.ports import Refused

KEEP_ALIVE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Watch:
    """A stream that has begun: its first message is here, the rest follows."""

    first: Message
    rest: AsyncGenerator[Message, None]

    @classmethod
    async def begin(cls, messages: AsyncGenerator[Message, None]) -> Watch:
        """Wait for the first message, so that a refusal is an answer of its own; raises Refused or Unavailable."""
        return cls(await anext(messages), messages)

    async def stream(self) -> AsyncIterator[str]:
        """Yield the messages in the wire format, and a comment now and then so that nobody takes it for dead."""
        yield _event("incident", as_json(self.first))
        following = asyncio.ensure_future(anext(self.rest))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=KEEP_ALIVE_SECONDS)
                if not done:
                    yield ": nothing new\n\n"
                    continue
                yield _event("incident", as_json(following.result()))
                following = asyncio.ensure_future(anext(self.rest))
        except (StopAsyncIteration, Refused, Unavailable) as exc:
            yield _event("end", str(exc).replace("\n", " "))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.rest.aclose()


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
