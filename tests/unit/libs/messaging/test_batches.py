from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batch_plan import Extent, Plan, digest, parse_plan
from libs.messaging.batch_state import Limits
from libs.messaging.batches import BatchLoop
from libs.messaging.dlq import DeadLetters
from libs.messaging.memory import MemoryBroker, MemoryConsumer
from libs.messaging.ports import EARLIEST, OutgoingRecord, Position, Record, TopicPartition
from libs.otlp.batch import DecodedBatch, Rejected

TOPIC, GROUP = "t", "g"
PLACE = TopicPartition(TOPIC, 0)
FAST = Limits(max_age_s=0.02, poll_s=0.005, backoff_s=0.01, max_backoff_s=0.05)
WAIT_SECONDS = 10.0


class Killed(BaseException):
    """Stands for the process dying at this very point."""


class Table:
    """A table that drops an insert whose token it has seen, and can be told to fail."""

    table = "rows"

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.tokens: set[str] = set()
        self.attempts = 0
        self.verified: list[Extent] = []
        self.missing = False
        self.failures: list[BaseException] = []
        self.poison = ""
        self.die_after_insert = False

    def problem(self) -> str | None:
        return "no such table" if self.missing else None

    def write(self, batch: DecodedBatch, token: str) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        rows = batch.body.decode().split(",")
        if self.poison and self.poison in rows:
            raise InvalidInput("clickhouse_refused", f"cannot store {self.poison}")
        if token not in self.tokens:
            self.tokens.add(token)
            self.rows += rows
        if self.die_after_insert:
            raise Killed

    def verify(self, batch: DecodedBatch, extent: Extent, token: str) -> None:
        assert token
        self.verified.append(extent)
        self.rows += [row for row in batch.body.decode().split(",") if row not in self.rows]


class Member(MemoryConsumer):
    """A consumer that is never behind."""

    def lag(self) -> dict[TopicPartition, int]:
        return {}


def decode(records: Sequence[Record]) -> DecodedBatch:
    """Turn each message into one row; `bad...` is rejected whole, `part...` in part."""
    good = [r.value for r in records if not r.value.startswith(b"bad")]
    rejected = [Rejected(i, "undecodable", "it is bad") for i, r in enumerate(records) if r.value.startswith(b"bad")]
    parts = [Rejected(i, "too_deep", "deep", b"P") for i, r in enumerate(records) if r.value.startswith(b"part")]
    return DecodedBatch(("c",), b",".join(good), len(good), (*rejected, *parts))


class World:
    """A broker, a table, and loops between them."""

    def __init__(self, limits: Limits = FAST, partitions: int = 1) -> None:
        self.broker = MemoryBroker({TOPIC: partitions, f"{TOPIC}.dlq": 1})
        self.table = Table()
        self.limits = limits
        self.errors: list[BaseException] = []
        self._running: list[tuple[BatchLoop, threading.Thread]] = []

    def send(self, *values: str, key: bytes | None = None) -> None:
        headers = (("content-type", b"application/json"), ("h", b"1"))
        self.broker.producer().send([OutgoingRecord(TOPIC, key, v.encode(), headers) for v in values])

    def start(self) -> BatchLoop:
        def open_source(_on_revoke: object) -> Member:
            member = Member(self.broker, GROUP, [TOPIC])
            self.broker._members[GROUP].append(member)
            self.broker._deal(GROUP)
            return member

        letters = DeadLetters(self.broker.producer())
        metrics = BatchMetrics("test", CollectorRegistry())
        loop = BatchLoop(open_source, decode, 1, self.table, letters, metrics, self.limits)

        def body() -> None:
            try:
                loop.run()
            except Killed as death:
                self.errors.append(death)

        thread = threading.Thread(target=body)
        thread.start()
        self._running.append((loop, thread))
        return loop

    def stop(self) -> None:
        for loop, thread in self._running:
            loop.stop()
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()
        self._running.clear()

    def committed(self, partition: int = 0) -> Position | None:
        return self.broker.stored(GROUP, TopicPartition(TOPIC, partition))

    def letters(self) -> list[Record]:
        return self.broker.read(TopicPartition(f"{TOPIC}.dlq", 0), 0, 1000)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def stopped(world: World) -> object:
    yield
    world.stop()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def test_rows_are_inserted_once_and_the_end_is_committed(world: World) -> None:
    world.send("a", "b", "c")
    world.start()
    until(lambda: world.committed() == Position(3))
    world.send("d")
    until(lambda: world.committed() == Position(4))
    assert world.table.rows == ["a", "b", "c", "d"]


def test_what_can_not_be_decoded_is_in_the_dead_letters_before_the_end_is_committed(world: World) -> None:
    world.send("a", "bad one", "c")
    world.start()
    until(lambda: world.committed() == Position(3))
    (letter,) = world.letters()
    assert world.table.rows == ["a", "c"]
    assert (letter.value, letter.header("dlq_reason"), letter.header("dlq_offset")) == (b"bad one", "undecodable", "1")
    assert (letter.header("dlq_topic"), letter.header("dlq_error"), letter.header("h")) == (TOPIC, "it is bad", "1")


def test_a_batch_of_nothing_but_bad_messages_moves_on_too(world: World) -> None:
    world.send("bad", "bad")
    world.start()
    until(lambda: world.committed() == Position(2))
    assert (world.table.attempts, len(world.letters())) == (0, 2)


def test_a_refused_part_goes_to_the_dead_letters_alone_and_as_protobuf(world: World) -> None:
    world.send("part")
    world.start()
    until(lambda: world.committed() == Position(1))
    (letter,) = world.letters()
    assert (letter.value, letter.header("content-type"), letter.header("h")) == (b"P", "application/x-protobuf", "1")
    assert world.table.rows == ["part"]


def test_a_server_that_is_down_is_waited_for_and_nothing_is_lost_or_repeated(world: World) -> None:
    world.table.failures = [Unavailable("down")] * 3
    world.send("a", "b")
    loop = world.start()
    until(lambda: loop.problem() == "down")
    world.send("c")
    until(lambda: world.committed() == Position(3))
    until(lambda: loop.problem() is None)
    assert (world.table.rows, world.letters()) == (["a", "b", "c"], [])


def test_a_message_whose_rows_are_refused_is_found_and_buried_alone(world: World) -> None:
    world.table.poison = "c"
    world.send(*"abcdefg")
    world.start()
    until(lambda: world.committed() == Position(7))
    assert world.table.rows == list("abdefg")
    assert [(r.value, r.header("dlq_reason")) for r in world.letters()] == [(b"c", "clickhouse_refused")]


def test_after_a_death_between_insert_and_commit_the_same_range_is_rebuilt(world: World) -> None:
    world.table.die_after_insert = True
    world.send("a", "b")
    world.start()
    until(lambda: bool(world.errors))
    planned = world.committed()
    assert planned is not None
    assert planned.offset == 0
    assert parse_plan(planned.metadata) == Plan(1, 1, 2, digest(b"a,b"))
    world.table.die_after_insert = False
    world.send("c", "d")  # would have joined the batch, had its end not been planned
    world.start()
    until(lambda: world.committed() == Position(4))
    assert world.table.rows == ["a", "b", "c", "d"]


def test_a_rebuilt_range_is_verified_and_lost_rows_come_back(world: World) -> None:
    world.table.die_after_insert = True
    world.send("a", "b")
    world.start()
    until(lambda: bool(world.errors))
    world.table.die_after_insert = False
    world.table.rows.remove("a")  # its token is known, its part was never committed
    world.start()
    until(lambda: world.committed() == Position(2))
    assert sorted(world.table.rows) == ["a", "b"]
    assert world.table.verified == [Extent(TOPIC, 0, 0, 1)]


def test_an_insert_of_unknown_outcome_is_verified_and_later_ones_are_not(world: World) -> None:
    world.table.failures = [Unavailable("connection lost")]
    world.send("a")
    world.start()
    until(lambda: world.committed() == Position(1))
    world.send("b")
    until(lambda: world.committed() == Position(2))
    assert world.table.verified == [Extent(TOPIC, 0, 0, 0)]


def test_a_range_that_was_planned_with_other_rows_is_not_inserted_blindly(world: World) -> None:
    world.send("a", "b")
    world.table.rows.append("a")  # of the earlier plan
    place = TopicPartition(TOPIC, 0)
    world.broker.store(GROUP, {place: Position(0, Plan(1, 0, 1, digest(b"a")).text())})
    world.start()
    until(lambda: world.committed() == Position(2))
    assert (world.table.attempts, sorted(world.table.rows)) == (0, ["a", "b"])


def test_an_orderly_stop_delivers_what_was_read() -> None:
    world = World(replace(FAST, max_age_s=60))
    world.send("a", "b")
    loop = world.start()
    until(lambda: loop.problem() is None and bool(loop._partitions) and len(_open(loop)) == 2)
    world.stop()
    assert (world.table.rows, world.committed()) == (["a", "b"], Position(2))


def _open(loop: BatchLoop) -> list[Record]:
    return [record for partition in list(loop._partitions.values()) for record in partition.records]


def test_reading_stops_while_too_much_is_held_and_goes_on_afterwards() -> None:
    world = World(replace(FAST, max_held_bytes=4, poll_records=1), partitions=2)
    world.table.failures = [Unavailable("down")] * 12
    for n in range(60):
        world.send(str(n), key=str(n).encode())
    loop = world.start()
    until(lambda: loop._choked)
    assert sum(p.held() for p in loop._partitions.values()) <= 8
    until(lambda: len(set(world.table.rows)) == 60)
    world.stop()
    assert sorted(world.table.rows, key=int) == [str(n) for n in range(60)]


def test_a_partition_that_left_and_came_back_in_one_poll_is_read_again(world: World) -> None:
    world.send("a", "b", "c")
    loop, member = _loop(world)
    loop._adopt(member)
    stale = member.poll(10, 0)
    loop._revoked, start = {PLACE}, loop._partitions[PLACE].start
    loop._take(member, stale[1:])  # as though the first had been lost on the way
    assert (loop._partitions[PLACE].records, start) == ([], EARLIEST)
    assert [r.value for r in member.poll(10, 0)] == [b"a", b"b", b"c"]


def test_a_partition_paused_before_it_moved_away_is_read_when_it_comes_back(world: World) -> None:
    loop, member = _loop(world)
    loop._adopt(member)
    member.pause([PLACE])
    member.assign([])
    loop._adopt(member)
    assert loop._partitions == {}
    member.assign([PLACE])
    loop._adopt(member)
    world.send("a")
    assert [r.value for r in member.poll(10, 0)] == [b"a"]


def test_messages_read_before_their_partition_could_be_adopted_are_read_again(world: World) -> None:
    loop, member = _loop(world)
    world.send("a", "b")
    loop._take(member, member.poll(1, 0))  # the committed positions could not be had
    loop._adopt(member)
    assert [r.value for r in member.poll(10, 0)] == [b"a", b"b"]


def test_messages_of_held_partitions_are_kept_while_another_can_not_be_adopted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, member = _loop(world)
    loop._adopt(member)
    world.send("a")

    def fail(_source: object) -> None:
        raise Unavailable("the coordinator loads")

    monkeypatch.setattr(loop, "_adopt", fail)
    loop._turn(member)
    assert [r.value for r in _open(loop)] == [b"a"]


def _loop(world: World) -> tuple[BatchLoop, Member]:
    member = Member(world.broker, GROUP, [TOPIC])
    world.broker._members[GROUP].append(member)
    world.broker._deal(GROUP)
    letters, metrics = DeadLetters(world.broker.producer()), BatchMetrics("test", CollectorRegistry())
    return BatchLoop(lambda _: member, decode, 1, world.table, letters, metrics, FAST), member


def test_a_batch_is_cut_at_its_limit_and_the_rest_waits() -> None:
    world = World(replace(FAST, max_bytes=3, max_age_s=60))
    world.send(*"abcdef")
    world.start()
    until(lambda: world.committed() == Position(6))
    world.stop()
    assert world.table.attempts == 2


def test_without_the_dead_letters_nothing_is_committed(world: World) -> None:
    world.broker._partitions.pop(f"{TOPIC}.dlq")
    world.send("a", "bad")
    loop = world.start()
    until(lambda: "cannot write" in (loop.problem() or ""))
    position = world.committed()
    assert position is not None
    assert position.offset == 0
    world.broker._partitions[f"{TOPIC}.dlq"] = 1
    until(lambda: world.committed() == Position(2))
    assert (world.table.rows, len(world.letters())) == (["a"], 1)


def test_nothing_is_read_before_the_table_exists(world: World) -> None:
    world.table.missing = True
    world.send("a")
    loop = world.start()
    until(lambda: loop.problem() == "no such table")
    assert world.committed() is None
    world.table.missing = False
    until(lambda: world.committed() == Position(1))


def test_a_partition_that_moves_to_another_member_keeps_its_rows_exact() -> None:
    world = World(partitions=4)
    for n in range(200):
        world.send(str(n), key=str(n % 16).encode())
    world.start()
    until(lambda: len(world.table.rows) > 0)
    world.start()
    for n in range(200, 400):
        world.send(str(n), key=str(n % 16).encode())
    until(lambda: len(set(world.table.rows)) == 400)
    world.stop()
    assert sorted(world.table.rows, key=int) == [str(n) for n in range(400)]


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


@pytest.mark.parametrize("text", ["", "plan1:x:1:2:3", "plan1:1", "someone else's", "plan2:1:2:3:4"])
def test_foreign_metadata_is_not_a_plan(text: str) -> None:
    assert parse_plan(text) is None


def test_a_plan_survives_being_written_down() -> None:
    plan = Plan(41, 1, 1000, digest(b"rows"))
    assert parse_plan(plan.text()) == plan


def test_the_token_tells_ranges_versions_and_rows_apart() -> None:
    record = Record(TOPIC, 0, 7, None, b"", (), 0)
    plan = Plan(9, 1, 3, digest(b"x"))
    others = [replace(plan, last=8), replace(plan, version=2), replace(plan, rows=4), replace(plan, digest="y")]
    tokens = {p.token("rows", [record]) for p in [plan, *others]} | {plan.token("rows", [replace(record, offset=6)])}
    assert len(tokens) == 6
