"""Kafka to a table, exactly once in effect: the loop the three telemetry consumers share.

A batch is a contiguous range of offsets of one partition. Its plan is committed at its first offset, its dead letters
are acknowledged, its rows are inserted under a deduplication token, then its end is committed. A successor finds the
plan and rebuilds that very range, so an insert that had already happened is dropped by the table.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

import structlog

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batch_plan import Plan, digest, parse_plan
from libs.messaging.dlq import Rejection
from libs.messaging.ports import Consumer, Position, Record, TopicPartition
from libs.otlp.batch import PROTOBUF, DecodedBatch, Rejected

log = structlog.get_logger()


class Sink(Protocol):
    """The table that batches go into."""

    table: str

    def problem(self) -> str | None:
        """Return None when the table can take rows, else one sentence."""
        ...

    def write(self, batch: DecodedBatch, token: str) -> None:
        """Insert once per token; raises Unavailable (try again later) or InvalidInput (these rows are refused)."""
        ...


class DeadLetterBox(Protocol):
    """Where messages go that can not become rows."""

    def send_all(self, rejections: Sequence[Rejection]) -> None:
        """Return when the broker has acknowledged all; raises Unavailable."""
        ...


class Source(Consumer, Protocol):
    """A consumer that also knows how far behind it is."""

    def lag(self) -> dict[TopicPartition, int]:
        """Return how many messages lie ahead, by partition."""
        ...


DecodeRecords = Callable[[Sequence[Record]], DecodedBatch]
OpenSource = Callable[[Callable[[list[TopicPartition]], None]], Source]  # given what to call on revocation


class CloseReason(StrEnum):
    """Why a batch was closed."""

    PLANNED = "planned"
    BYTES = "bytes"
    MESSAGES = "messages"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch closes, how long to wait for messages, and how long to stand back from a failing server."""

    max_bytes: int = 8 * 1024 * 1024
    max_messages: int = 5_000
    max_age_s: float = 1.0
    poll_records: int = 64
    poll_s: float = 0.1
    backoff_s: float = 0.5
    max_backoff_s: float = 15.0


@dataclass(slots=True)
class Delivery:
    """A closed batch on its way: what is left to insert, in order, and how far it has come."""

    records: list[Record]
    plan: Plan
    parts: deque[list[Record]]
    decoded: DecodedBatch | None  # of the first part
    planned: bool = False

    def replace_first(self, *smaller: list[Record]) -> None:
        """Put smaller parts, or none, in the place of the first one."""
        self.parts.popleft()
        self.parts.extendleft(reversed(smaller))
        self.decoded = None


@dataclass(slots=True)
class Partition:
    """One held partition: its open batch, the plan a predecessor left, or a batch being delivered."""

    place: TopicPartition
    inherited: Plan | None = None
    records: list[Record] = field(default_factory=list)
    size: int = 0
    opened_at: float = 0.0
    delivery: Delivery | None = None
    failures: int = 0
    retry_at: float = 0.0

    def take(self, record: Record, now: float) -> None:
        """Add a message; going back in offsets means the partition was re-read, so what was open is dropped."""
        if self.records and record.offset <= self.records[-1].offset:
            self.records, self.size = [], 0
        if not self.records:
            self.opened_at = now
        self.records.append(record)
        self.size += len(record.value)

    def close_reason(self, limits: Limits, now: float) -> CloseReason | None:
        """Return why the open batch should be closed now, or None. A planned range waits for its end."""
        if not self.records or self.delivery is not None:
            return None
        if self.inherited is not None:
            return CloseReason.PLANNED if self.records[-1].offset >= self.inherited.last else None
        if self.size >= limits.max_bytes:
            return CloseReason.BYTES
        if len(self.records) >= limits.max_messages:
            return CloseReason.MESSAGES
        return CloseReason.AGE if now - self.opened_at >= limits.max_age_s else None

    def close(self, now: float) -> list[Record]:
        """Return the records of the batch and keep what lies behind a planned range."""
        records, rest = self.records, []
        if self.inherited is not None:
            cut = self.inherited.last
            rest = [r for r in records if r.offset > cut]
            records = [r for r in records if r.offset <= cut]
        self.records, self.size, self.opened_at = rest, sum(len(r.value) for r in rest), now
        return records


class BatchLoop:
    """Reads, batches, inserts, commits. `run` blocks until `stop`; everything happens in the thread that runs it."""

    def __init__(
        self,
        open_source: OpenSource,
        decode: DecodeRecords,
        version: int,
        sink: Sink,
        dead_letters: DeadLetterBox,
        metrics: BatchMetrics,
        limits: Limits | None = None,
    ) -> None:
        self._open_source = open_source
        self._decode = decode
        self._version = version
        self._sink = sink
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._limits = limits or Limits()
        self._partitions: dict[TopicPartition, Partition] = {}
        self._stop = threading.Event()
        self._problem: str | None = "not started"

    def problem(self) -> str | None:
        """Return why rows do not flow, or None; a readiness check."""
        return self._problem

    def stop(self) -> None:
        """Make `run` return soon. An open batch is left for the next reader, unread as far as Kafka knows."""
        self._stop.set()

    def run(self) -> None:
        """Wait for the table, join the group, then move batches until stopped."""
        if not self._wait_for_table():
            return
        source = self._open_source(self._forget)
        try:
            while not self._stop.is_set():
                self._turn(source)
        finally:
            source.close()

    def _wait_for_table(self) -> bool:
        delay = self._limits.backoff_s
        while (problem := self._sink.problem()) is not None:
            self._report(problem)
            if self._stop.wait(delay):
                return False
            delay = min(delay * 2, self._limits.max_backoff_s)
        self._report(None)
        return not self._stop.is_set()

    def _report(self, problem: str | None) -> None:
        if problem != self._problem:
            (log.info if problem is None else log.warning)("ingest_state", table=self._sink.table, problem=problem)
        self._problem = problem

    def _forget(self, places: list[TopicPartition]) -> None:
        for place in places:
            self._partitions.pop(place, None)

    def _turn(self, source: Source) -> None:
        try:
            records = source.poll(self._limits.poll_records, self._limits.poll_s)
            self._adopt(source)
        except Unavailable as error:
            self._report(str(error))
            self._stop.wait(self._limits.backoff_s)
            return
        now = time.monotonic()
        for record in records:
            if (partition := self._partitions.get(record.place)) is not None:
                partition.take(record, now)
        for partition in list(self._partitions.values()):
            self._advance(source, partition)
        self._metrics.lag(source)
        if self._problem and not any(p.failures for p in self._partitions.values()):
            self._report(None)

    def _adopt(self, source: Source) -> None:
        held = source.assignment()
        self._forget([place for place in self._partitions if place not in held])
        fresh = [place for place in held if place not in self._partitions]
        if not fresh:
            return
        committed = source.committed(fresh)
        for place in fresh:
            plan = parse_plan(committed[place].metadata) if place in committed else None
            self._partitions[place] = Partition(place, plan)
            if plan is not None:
                log.info("plan_found", topic=place.topic, partition=place.partition, last=plan.last)

    def _advance(self, source: Source, partition: Partition) -> None:
        now = time.monotonic()
        if partition.delivery is None:
            reason = partition.close_reason(self._limits, now)
            if reason is None:
                return
            self._seal(partition, reason, now)
        if partition.delivery is None or now < partition.retry_at:
            return
        try:
            self._deliver(source, partition.delivery)
        except Unavailable as error:
            self._stand_back(source, partition, error)
        else:
            self._delivered(source, partition)

    def _seal(self, partition: Partition, reason: CloseReason, now: float) -> None:
        records = partition.close(now)
        inherited, partition.inherited = partition.inherited, None
        if not records:  # the planned range is gone, by retention
            return
        decoded = self._decode(records)
        plan = Plan(records[-1].offset, self._version, decoded.rows, digest(decoded.body))
        if inherited is not None and inherited != plan:
            log.error("plan_changed", topic=partition.place.topic, partition=partition.place.partition,
                      planned=inherited.text(), rebuilt=plan.text())  # fmt: skip
        partition.delivery = Delivery(records, plan, deque([records]), decoded)
        self._metrics.closed(reason)

    def _deliver(self, source: Source, delivery: Delivery) -> None:
        first = delivery.records[0]
        if not delivery.planned:
            source.commit({first.place: Position(first.offset, delivery.plan.text())})
            delivery.planned = True
        while delivery.parts:
            self._insert(delivery, delivery.parts[0])
        source.commit({first.place: Position(delivery.plan.last + 1)})

    def _insert(self, delivery: Delivery, part: list[Record]) -> None:
        """Deliver the first part left. A refused part is halved until the message to blame stands alone."""
        decoded = delivery.decoded = delivery.decoded or self._decode(part)
        plan = Plan(part[-1].offset, self._version, decoded.rows, digest(decoded.body))
        rejected: Sequence[Rejected] = decoded.rejected
        started = time.monotonic()
        try:
            if decoded.rows:
                self._sink.write(decoded, plan.token(self._sink.table, part))
        except InvalidInput as refused:
            if len(part) > 1:
                middle = len(part) // 2
                delivery.replace_first(part[:middle], part[middle:])
                return
            rejected = [Rejected(0, refused.reason, str(refused))]
        else:
            self._metrics.inserted(part, decoded, time.monotonic() - started)
        self._bury(part, rejected)
        delivery.replace_first()

    def _bury(self, part: list[Record], rejected: Sequence[Rejected]) -> None:
        """Send to the dead letters: after the insert, which may be repeated, and before the commit."""
        if rejected:
            letters = [Rejection(_letter(part[r.index], r), r.reason, r.error) for r in rejected]
            self._dead_letters.send_all(letters)
            self._metrics.rejected(rejected)

    def _stand_back(self, source: Source, partition: Partition, error: Unavailable) -> None:
        if partition.place not in source.assignment():
            self._forget([partition.place])
            return
        if not partition.failures:
            source.pause([partition.place])
        delay = min(self._limits.backoff_s * 2**partition.failures, self._limits.max_backoff_s)
        partition.failures = min(partition.failures + 1, 16)
        partition.retry_at = time.monotonic() + delay
        log.error("partition_waits", topic=partition.place.topic, partition=partition.place.partition,
                  seconds=delay, error=str(error))  # fmt: skip
        self._metrics.waited()
        self._report(str(error))

    def _delivered(self, source: Source, partition: Partition) -> None:
        partition.delivery = None
        if partition.failures:
            partition.failures = 0
            source.resume([partition.place])


def _letter(record: Record, rejected: Rejected) -> Record:
    """Return what goes to the dead letters: the message, or the refused part of it in protobuf."""
    if rejected.part is None:
        return record
    kept = tuple(header for header in record.headers if header[0] != "content-type")
    return replace(record, value=rejected.part, headers=(*kept, ("content-type", PROTOBUF.encode())))
