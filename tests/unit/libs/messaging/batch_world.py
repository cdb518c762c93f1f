"""A broker, a table and batch loops between them, all in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from prometheus_client import CollectorRegistry

from libs.kernel.errors import InvalidInput
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batch_plan import Extent
from libs.messaging.batch_state import Limits
from libs.messaging.batches import BatchLoop
from libs.messaging.dlq import DeadLetters
from libs.messaging.memory import MemoryBroker, MemoryConsumer
from libs.messaging.ports import OutgoingRecord, Position, Record, TopicPartition
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
        self.refused: list[list[str]] = []
        self.die_after_insert = False

    def problem(self) -> str | None:
        return "no such table" if self.missing else None

    def write(self, batch: DecodedBatch, token: str) -> None:
        self.attempts += 1
        if self.failures:
            raise self.failures.pop(0)
        rows = batch.body.decode().split(",")
        if self.poison and self.poison in rows:
            self.refused.append(rows)
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
    """A consumer that is never behind in reading."""

    def lag(self) -> dict[TopicPartition, int]:
        return dict.fromkeys(self.assignment(), 0)


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
        self.registry = CollectorRegistry()
        metrics = BatchMetrics("test", self.registry)
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

    def member(self) -> tuple[BatchLoop, Member]:
        """Return a loop that does not run, and its consumer. No batch closes for its age, however slow the machine."""
        member = Member(self.broker, GROUP, [TOPIC])
        self.broker._members[GROUP].append(member)
        self.broker._deal(GROUP)
        letters, metrics = DeadLetters(self.broker.producer()), BatchMetrics("test", CollectorRegistry())
        limits = replace(self.limits, max_age_s=WAIT_SECONDS)
        return BatchLoop(lambda _: member, decode, 1, self.table, letters, metrics, limits), member

    def stop(self) -> None:
        for loop, thread in self._running:
            loop.stop()
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()
        self._running.clear()

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a metric of the loop started last."""
        return self.registry.get_sample_value(f"incidentscope_test_{name}", labels)

    def committed(self, partition: int = 0) -> Position | None:
        return self.broker.stored(GROUP, TopicPartition(TOPIC, partition))

    def letters(self) -> list[Record]:
        return self.broker.read(TopicPartition(f"{TOPIC}.dlq", 0), 0, 1000)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def open_records(loop: BatchLoop) -> list[Record]:
    """Return the messages of all open batches."""
    return [record for partition in list(loop._partitions.values()) for record in partition.records]
