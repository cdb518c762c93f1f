"""Request bodies, bounded in bytes and in time: the one way every HTTP door reads them."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from libs.kernel.errors import InvalidInput

BODY_SECONDS: Final = 30.0  # for a whole body, however it trickles in
DRAIN_BYTES: Final = 32 * 1024 * 1024  # read and dropped of what is too large, so that its sender gets to hear so
CLOSE: Final = {"connection": "close"}  # on answers before a body's end: what follows is not a request


class BodyProblem(StrEnum):
    """What can be wrong with a body before it is looked into."""

    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    INCOMPLETE = "incomplete"


STATUSES: Final = {BodyProblem.TOO_LARGE: 413, BodyProblem.TOO_SLOW: 408, BodyProblem.INCOMPLETE: 400}


class BodyRefused(InvalidInput):
    """The body cannot be taken; answer with `status` and the headers CLOSE. The text is for the sender."""

    def __init__(self, problem: BodyProblem, message: str) -> None:
        super().__init__(f"body_{problem}", message)
        self.problem = problem

    @property
    def status(self) -> int:
        """Return the HTTP status that says so."""
        return STATUSES[self.problem]


class BoundedBody:
    """ASGI `receive` for one request; raises BodyRefused, within `seconds` from when it was made. Passes on the rest.

    After the body it only tells of the sender's leaving, without a deadline: an answer may take as long as it likes.
    """

    def __init__(self, receive: Receive, limit: int, seconds: float = BODY_SECONDS) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._size = 0
        self._ended = False

    async def __call__(self) -> Message:
        """Return the next part of the body."""
        if self._ended:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._next()
        except TimeoutError:
            said = f"the body did not arrive within {self._seconds:g} s"
            raise BodyRefused(BodyProblem.TOO_SLOW, said) from None

    async def _next(self) -> Message:
        message = await self._counted()
        while self._limit < self._size <= DRAIN_BYTES and not self._ended:
            message = await self._counted()
        if self._size > self._limit:
            raise BodyRefused(BodyProblem.TOO_LARGE, f"the body is larger than {self._limit} bytes")
        return message

    async def _counted(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        return message


async def read_body(request: Request, limit: int, seconds: float = BODY_SECONDS) -> bytes:
    """Return a request's whole body of at most `limit` bytes; raises BodyRefused."""
    bounded = Request(request.scope, BoundedBody(request.receive, limit, seconds))
    try:
        return await bounded.body()
    except ClientDisconnect as exc:
        raise BodyRefused(BodyProblem.INCOMPLETE, "the connection closed before the whole body arrived") from exc
