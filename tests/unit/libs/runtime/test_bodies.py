"""Bodies are bounded in bytes and in time, whatever the sender does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from libs.runtime.bodies import DRAIN_BYTES, BodyProblem, BodyRefused, BoundedBody, read_body

SCOPE: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": []}


class Sender:
    """Sends messages, one every so many seconds, then nothing more."""

    def __init__(self, messages: Iterable[Message], every_s: float = 0.0) -> None:
        self.messages = list(messages)
        self.every_s = every_s

    async def __call__(self) -> Message:
        await asyncio.sleep(self.every_s if self.messages else 3600)
        return self.messages.pop(0)


def parts(*bodies: bytes) -> list[Message]:
    last = len(bodies) - 1
    return [{"type": "http.request", "body": body, "more_body": n < last} for n, body in enumerate(bodies)]


def read(sender: Sender, limit: int = 10, seconds: float = 5.0) -> bytes:
    return asyncio.run(read_body(Request(SCOPE, sender), limit, seconds))


def refused(sender: Sender, limit: int = 10, seconds: float = 5.0) -> BodyRefused:
    with pytest.raises(BodyRefused) as found:
        read(sender, limit, seconds)
    return found.value


def test_a_body_up_to_the_limit_is_read() -> None:
    assert read(Sender(parts(b"12345", b"", b"67890"))) == b"1234567890"
    assert read(Sender(parts(b""))) == b""


def test_a_larger_one_is_read_to_its_end_so_that_the_sender_hears_and_then_refused() -> None:
    sender = Sender(parts(b"12345678901", b"more", b"still more"))
    problem = refused(sender)
    assert (problem.problem, problem.status, problem.reason) == (BodyProblem.TOO_LARGE, 413, "body_too_large")
    assert sender.messages == []


def test_one_without_end_is_not_read_to_its_end() -> None:
    piece = b"x" * (4 * 1024 * 1024)
    sender = Sender({"type": "http.request", "body": piece, "more_body": True} for _ in range(20))
    assert refused(sender).problem is BodyProblem.TOO_LARGE
    assert len(sender.messages) == 20 - DRAIN_BYTES // len(piece) - 1


@pytest.mark.parametrize("body", [[b"1"] * 100, [b"x" * 1000] * 100], ids=["small", "too large"])
def test_one_that_trickles_in_is_refused_when_its_time_is_over(body: list[bytes]) -> None:
    problem = refused(Sender(parts(*body), every_s=0.02), seconds=0.1)
    assert (problem.problem, problem.status) == (BodyProblem.TOO_SLOW, 408)
    assert "within 0.1 s" in str(problem)


def test_a_sender_that_leaves_is_no_error_of_ours() -> None:
    sender = Sender([*parts(b"1", b"2")[:1], {"type": "http.disconnect"}])
    assert refused(sender).problem is BodyProblem.INCOMPLETE


def test_after_the_body_its_deadline_is_over_and_a_leaving_is_passed_on() -> None:
    async def story() -> list[str]:
        receive = BoundedBody(Sender([*parts(b"1"), {"type": "http.disconnect"}], every_s=0.6), 10, 1.0)
        return [(await receive())["type"], (await receive())["type"]]

    assert asyncio.run(story()) == ["http.request", "http.disconnect"]
