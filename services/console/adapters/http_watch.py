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
FIRST_SECONDS = 1.0  # a refusal comes at once; where nothing comes there may be nothing to tell yet


@dataclass(frozen=True, slots=True)
class Watch:
    """A stream that was let in: its first message, as soon as it comes, and the rest."""

    first: asyncio.Task[Message]
    rest: AsyncGenerator[Message, None]

    @classmethod
    async def begin(cls, messages: AsyncGenerator[Message, None]) -> Watch:
        """Wait a moment for the first message: a refusal is an answer of its own. Raises Refused or Unavailable."""
        first = asyncio.create_task(_next(messages))
        done, _ = await asyncio.wait({first}, timeout=FIRST_SECONDS)
        if done and isinstance(refused := first.exception(), Refused | Unavailable):
            raise refused
        return cls(first, messages)

    async def stream(self) -> AsyncIterator[str]:
        """Yield the messages in the wire format, and a comment now and then so that nobody takes it for dead."""
        yield ": watching\n\n"
        following = self.first
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=KEEP_ALIVE_SECONDS)
                if not done:
                    yield ": nothing new\n\n"
                    continue
                yield _event("incident", as_json(following.result()))
                following = asyncio.create_task(_next(self.rest))
        except (StopAsyncIteration, Refused, Unavailable) as exc:
            yield _event("end", str(exc).replace("\n", " "))
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.rest.aclose()


async def _next(messages: AsyncGenerator[Message, None]) -> Message:
    return await anext(messages)


def _event(kind: str, data: str) -> str:
    return f"event: {kind}\ndata: {data}\n\n"
