"""The outbox on a real database and a real broker: every committed event once and in order, whatever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import Producer

from libs.kernel.errors import Unavailable
from libs.messaging.ports import OutgoingRecord
from libs.storage import outbox
from libs.storage.outbox_kafka import KafkaOutbox
from libs.storage.outbox_relay import Relay, RelayOptions
from scripts.outbox_world import Fact, OutboxWorld, create_world, event, read_committed
from scripts.soak_outbox import compare, torment

KILLS = 10
QUICK = RelayOptions(poll_every=0.2, sweep_every=0.2, watch_every=0.1, retry_first=0.05)


@pytest.fixture
def world(stack: Any) -> Iterator[OutboxWorld]:
    made = create_world(stack.postgres_url, stack.kafka_bootstrap)
    yield made
    made.drop()


@contextlib.asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await relay.stop()
        await asyncio.wait_for(task, 30)


async def until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        await asyncio.sleep(0.05)


async def write(world: OutboxWorld, facts: Sequence[Fact]) -> None:
    async with await world.connect() as conn:
        for key, n in facts:
            await outbox.enqueue(conn, world.topic, key, event(key, n))


def test_committed_events_arrive_once_and_in_order_while_relays_are_killed(world: OutboxWorld) -> None:
    asyncio.run(torment(world, KILLS, seed=7))
    committed = world.committed()
    survivor = world.start_relay()
    try:
        found = compare(committed, read_committed(world, len(committed), timeout_s=60))
    finally:
        survivor.kill()
        survivor.wait(10)
    assert len(committed) > 100
    assert found.faults == 0, found


def test_the_comparison_tells_each_fault_apart() -> None:
    committed = [("a", 1), ("a", 2), ("a", 3), ("b", 1)]

    found = compare(committed, [("a", 2), ("a", 1), ("b", 1), ("b", 1), ("c", 9)])

    assert (found.committed, found.lost, found.twice, found.out_of_order, found.rolled_back) == (4, 1, 1, 1, 1)
    assert compare(committed, committed).faults == 0


def test_a_relay_at_rest_publishes_a_new_event_at_once(world: OutboxWorld) -> None:
    async def story() -> float:
        async with running(Relay(world.postgres_url, world.schema, world.bootstrap, RelayOptions(sweep_every=0))):
            await write(world, [("a", 1)])
            await until(lambda: world.rows_left() == 0)
            await asyncio.sleep(0.2)  # the relay sleeps again
            started = time.monotonic()
            await write(world, [("a", 2)])
            await until(lambda: world.rows_left() == 0)
            return time.monotonic() - started

    assert asyncio.run(story()) < 2


def _wait_for(world: OutboxWorld, count: int) -> None:
    assert len(read_committed(world, count, 20)) == count


def test_published_rows_are_deleted_behind_the_position(world: OutboxWorld) -> None:
    async def story() -> None:
        async with running(Relay(world.postgres_url, world.schema, world.bootstrap, QUICK)):
            await write(world, [(f"k{i}", 1) for i in range(40)])
            await until(lambda: world.rows_left() == 0)

    asyncio.run(story())
    assert len(read_committed(world, 40, 20)) == 40


def test_a_relay_that_starts_over_continues_behind_rows_not_yet_deleted(world: OutboxWorld) -> None:
    async def story() -> None:
        keep = RelayOptions(sweep_every=3600)
        for n in (1, 2, 3):
            await write(world, [("a", n), ("b", n)])
            relay = Relay(world.postgres_url, world.schema, world.bootstrap, keep)
            async with running(relay):
                await asyncio.to_thread(_wait_for, world, 2 * n)

    asyncio.run(story())
    assert sorted(read_committed(world, 6, 20)) == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3)]


def test_without_a_broker_events_wait_and_the_relay_says_so(world: OutboxWorld) -> None:
    async def story() -> str | None:
        options = RelayOptions(watch_every=0.1, lagging_after=0.5)
        relay = Relay(world.postgres_url, world.schema, "127.0.0.1:1", options)
        task = asyncio.create_task(relay.run())
        await write(world, [("a", 1)])
        try:
            await until(lambda: relay.lagging() is not None)
            return relay.lagging()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert (asyncio.run(story()) or "").startswith("1 events wait, the oldest for ")
    assert world.rows_left() == 1


def test_without_a_database_the_relay_says_that_it_cannot_count(world: OutboxWorld) -> None:
    async def story() -> str | None:
        options = RelayOptions(watch_every=0.1, lagging_after=0.5)
        relay = Relay("postgresql://nobody@127.0.0.1:1/none", world.schema, world.bootstrap, options)
        task = asyncio.create_task(relay.run())
        try:
            assert relay.lagging() is None
            await until(lambda: relay.lagging() is not None)
            return relay.lagging()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    assert "could not be counted" in (asyncio.run(story()) or "")


def test_an_older_relay_is_fenced_and_publishes_nothing_more(world: OutboxWorld) -> None:
    older, newer = (KafkaOutbox(world.bootstrap, world.schema) for _ in range(2))
    record = OutgoingRecord(world.topic.name, b"a", b"x")
    older.open()
    older.publish([record], {0: 1})
    assert newer.open() == {0: 1}
    with pytest.raises(Unavailable, match="did not commit"):
        older.publish([record], {0: 2})
    newer.publish([record], {0: 5})
    assert older.open() == {0: 5}
    older.close()
    newer.close()


def test_positions_are_complete_while_another_outbox_holds_a_transaction_open(world: OutboxWorld) -> None:
    mine = KafkaOutbox(world.bootstrap, world.schema)
    mine.open()
    other = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": f"{world.schema}-other"})
    other.init_transactions(20)
    other.begin_transaction()
    other.produce("outbox.positions", "1", f"{world.schema}_other/0")
    other.flush(10)
    mine.publish([], {3: 7})  # committed behind the other's open transaction: the last stable offset lies before it

    async def story() -> dict[int, int]:
        reading = asyncio.create_task(asyncio.to_thread(mine.open))
        await asyncio.sleep(3)
        assert not reading.done(), "positions were read before the open transaction ended"
        await asyncio.to_thread(other.abort_transaction, 20)
        return await reading

    assert asyncio.run(story()) == {3: 7}
    mine.close()


def test_a_database_older_than_the_positions_is_refused(world: OutboxWorld) -> None:
    ahead = KafkaOutbox(world.bootstrap, world.schema)
    ahead.open()
    ahead.publish([], {0: 2**60})
    ahead.close()

    async def story() -> str | None:
        options = RelayOptions(watch_every=0.1, lagging_after=0.0)
        async with running(Relay(world.postgres_url, world.schema, world.bootstrap, options)) as relay:
            await write(world, [("b", 1)])
            await until(lambda: "older than what was published" in (relay.lagging() or ""))
            return relay.lagging()

    assert "set the sequence of its id" in (asyncio.run(story()) or "")
    assert read_committed(world, 0, 2) == []


def test_a_rolled_back_transaction_publishes_nothing(world: OutboxWorld) -> None:
    async def story() -> None:
        async with await world.connect() as conn:
            await outbox.enqueue(conn, world.topic, "a", event("a", 1))
            await conn.rollback()
        async with running(Relay(world.postgres_url, world.schema, world.bootstrap, QUICK)):
            await write(world, [("a", 2)])
            await asyncio.to_thread(_wait_for, world, 1)

    asyncio.run(story())
    assert read_committed(world, 1, 20) == [("a", 2)]


def test_ids_of_a_lane_are_drawn_in_commit_order(world: OutboxWorld) -> None:
    async def story() -> list[str]:
        order: list[str] = []
        async with await world.connect() as first, await world.connect() as second:
            await outbox.enqueue(first, world.topic, "a", event("a", 1))

            async def late() -> None:
                await outbox.enqueue(second, world.topic, "a", event("a", 2))
                order.append("second enqueued")
                await second.commit()

            waiting = asyncio.create_task(late())
            await asyncio.sleep(0.3)
            order.append("first commits")
            await first.commit()
            await waiting
        return order

    assert asyncio.run(story()) == ["first commits", "second enqueued"]
