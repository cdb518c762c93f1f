"""When a batch closes, and how much is read before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.messaging.batch_plan import Plan
from libs.messaging.batch_state import CloseReason, Limits, Partition
from libs.messaging.ports import Position, Record
from tests.unit.libs.messaging.batch_world import FAST, PLACE, TOPIC, World, open_records, until


def _partition(messages: int, closed_at: float = 100.0, inherited: Plan | None = None) -> Partition:
    partition = Partition(PLACE, 0, inherited, closed_at=closed_at)
    for offset in range(messages):
        partition.take(Record(TOPIC, 0, offset, None, b"12345", (), 0))
    return partition


@pytest.mark.parametrize(
    ("messages", "now", "reason"),
    [
        (0, 200.0, None),
        (1, 100.5, None),
        (1, 101.0, CloseReason.AGE),
        (1, 200.0, CloseReason.AGE),  # after a lull nothing is waited for
        (3, 100.0, CloseReason.BYTES),
    ],
)
def test_time_counts_from_the_batch_before(messages: int, now: float, reason: CloseReason | None) -> None:
    assert _partition(messages).close_reason(Limits(max_age_s=1.0, max_bytes=15), now) is reason


def test_closing_starts_the_time_of_the_next_batch() -> None:
    partition = _partition(2)
    partition.close(Limits(), 300.0)
    partition.take(Record(TOPIC, 0, 2, None, b"x", (), 0))
    assert partition.close_reason(Limits(max_age_s=1.0), 300.9) is None
    assert partition.close_reason(Limits(max_age_s=1.0), 301.0) is CloseReason.AGE


@pytest.mark.parametrize("limits", [Limits(max_messages=10), Limits(max_bytes=20)])
def test_a_turn_reads_no_further_than_a_full_batch(world: World, limits: Limits) -> None:
    world.limits = replace(limits, poll_records=4, max_age_s=60)
    world.send(*("xx" for _ in range(100)))
    loop, member = world.member()
    loop._turn(member)
    assert (world.table.attempts, len(open_records(loop))) == (1, 2)


def test_a_planned_range_waits_for_its_end_however_old() -> None:
    plan = Plan(2, 1, 3, "digest")
    assert _partition(2, inherited=plan).close_reason(Limits(), 1e9) is None
    assert _partition(3, inherited=plan).close_reason(Limits(), 0.0) is CloseReason.PLANNED


def test_who_is_behind_makes_larger_batches(world: World) -> None:
    world.limits = replace(FAST, poll_records=4)
    world.send(*(str(n) for n in range(103)))
    loop, member = world.member()
    loop._turn(member)
    assert len(open_records(loop)) == 103


def test_a_turn_reads_no_further_than_may_be_held(world: World) -> None:
    world.limits = replace(FAST, poll_records=4, max_held_bytes=20)
    world.send(*("xx" for _ in range(100)))
    loop, member = world.member()
    loop._turn(member)
    assert 10 <= len(open_records(loop)) <= 14


def test_a_batch_is_cut_at_its_limit_and_the_rest_waits() -> None:
    world = World(replace(FAST, max_bytes=3, max_age_s=60))
    world.send(*"abcdef")
    world.start()
    until(lambda: world.committed() == Position(6))
    world.stop()
    assert world.table.attempts == 2


@pytest.mark.parametrize(
    "limits", [replace(FAST, max_messages=2, max_age_s=60), replace(FAST, max_bytes=2, max_age_s=60)]
)
def test_a_batch_closes_when_it_is_full(limits: Limits) -> None:
    world = World(replace(limits, poll_records=1))
    world.send("a", "b", "c", "d")
    world.start()
    until(lambda: world.committed() == Position(4))
    world.stop()
    assert world.table.attempts == 2
