"""The watch over transactions that nobody ends, where some are not let go and where asking fails."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.clock import ManualClock
from libs.kernel.errors import Unavailable
from libs.messaging import hanging
from libs.messaging.hanging import HANGS_AFTER, HangingWatch, OpenTransaction, Transactions

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Left(Transactions):
    """Transactions open on partitions of a topic; those of `stuck` are not let go."""

    def __init__(self, partitions: int, stuck: frozenset[int] = frozenset(), age: timedelta = 2 * HANGS_AFTER) -> None:
        super().__init__("nowhere", ["t"])
        self.stuck, self.asked, self.fails, self.ended = stuck, 0, 0, asyncio.Event()
        self.open = {n: OpenTransaction("t", n, n, 1, 0, 45, NOW - age) for n in range(partitions)}

    async def opened(self) -> list[OpenTransaction]:
        """Return what is open."""
        self.asked += 1
        if self.asked <= self.fails:
            raise ValueError("an answer of another shape")
        return list(self.open.values())

    async def end(self, one: OpenTransaction) -> None:
        """End it unless it is stuck."""
        if one.partition in self.stuck:
            raise Unavailable("it was not let go")
        del self.open[one.partition]
        self.ended.set()


@pytest.mark.parametrize("stuck", [0, 1, 2])
def test_what_is_not_let_go_is_told_though_others_are_ended(stuck: int) -> None:
    left = Left(3, frozenset({stuck}))
    watch = HangingWatch(left, ManualClock(NOW))
    asyncio.run(watch.look())
    assert list(left.open) == [stuck]
    assert str(watch.problem()).startswith(f"t[{stuck}]: transaction of producer {stuck} ")
    left.stuck = frozenset()
    asyncio.run(watch.look())
    assert watch.problem() is None


def test_one_that_may_be_at_work_is_left_alone() -> None:
    left = Left(1, age=HANGS_AFTER)
    asyncio.run(HangingWatch(left, ManualClock(NOW)).look())
    assert list(left.open) == [0]


def test_a_look_that_fails_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hanging, "LOOK_SECONDS", 0.001)
    left = Left(1)
    left.fails = 3

    async def story() -> None:
        running = asyncio.create_task(HangingWatch(left, ManualClock(NOW)).run())
        await asyncio.wait_for(left.ended.wait(), 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert left.asked > 3
