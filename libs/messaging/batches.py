"""Kafka to a table, exactly once in effect: the loop the three telemetry consumers share.

A batch is a contiguous range of offsets of one partition. Its plan is committed at its first offset, its dead letters
are acknowledged, its rows are inserted under a deduplication token, then its end is committed. A successor finds the
plan and rebuilds that very range, so an insert that had already happened is dropped by the table. Whenever an insert
may have happened unseen, the table is then asked to verify that it has every row.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batch_plan import Extent, Plan, digest, parse_plan
from libs.messaging.batch_state import CloseReason, Delivery, Limits, Partition
from libs.messaging.dlq import INDEX_HEADER, Rejection
from libs.messaging.ports import EARLIEST, Consumer, Position, Record, TopicPartition
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

    def verify(self, batch: DecodedBatch, extent: Extent, token: str) -> None:
        """Make sure that each row of the extent is there once, where an insert under the token may have happened.

        Raises as `write` does.
        """
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
        self._revoked: set[TopicPartition] = set()  # during the last poll
        self._dropped: set[TopicPartition] = set()  # read from before they were adopted
        self._choked = False
        self._stop = threading.Event()
        self._problem: str | None = "not started"

    def problem(self) -> str | None:
        """Return why rows do not flow, or None; a readiness check."""
        return self._problem

    def holds(self, partition: int) -> bool:
        """Return whether this member of the group reads that partition now; from any thread."""
        return any(place.partition == partition for place in list(self._partitions))

    def stop(self) -> None:
        """Make `run` return soon: open batches are closed and delivered first, if that works at the first attempt."""
        self._stop.set()

    def run(self) -> None:
        """Wait for the table, join the group, then move batches until stopped."""
        if not self._wait_for_table():
            return
        source = self._open_source(self._forget)
        try:
            while not self._stop.is_set():
                self._turn(source)
            self._drain(source)
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

    def _drain(self, source: Source) -> None:
        self._partitions = {p: state for p, state in self._partitions.items() if p in source.assignment()}
        for partition in self._partitions.values():
            if partition.inherited is None and partition.delivery is None and partition.records:
                self._seal(partition, CloseReason.DRAIN, time.monotonic())
            if partition.delivery is None:
                continue
            try:
                self._deliver(source, partition.delivery)
            except Unavailable as error:  # the plan is committed: a successor will find it
                log.warning("not_drained", partition=partition.place.partition, error=str(error))

    def _forget(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self._revoked.add(place)
            self._dropped.discard(place)
            self._partitions.pop(place, None)

    def _turn(self, source: Source) -> None:
        read = self._read(source, self._limits.poll_s)
        while read == self._limits.poll_records and self._has_room():
            read = self._read(source, 0.0)  # all that has come meanwhile: who is behind needs larger batches
        for partition in list(self._partitions.values()):
            self._advance(source, partition)
        self._relieve(source)
        self._metrics.lag(source, {p.place: p.waiting() for p in self._partitions.values()})
        if self._problem and not any(p.failures for p in self._partitions.values()):
            self._report(None)

    def _read(self, source: Source, wait_s: float) -> int:
        """Read once; return how many messages came, 0 when the broker is in trouble."""
        self._revoked.clear()
        records: Sequence[Record] = ()
        try:
            records = source.poll(self._limits.poll_records, wait_s)
            self._adopt(source)
        except Unavailable as error:
            self._report(str(error))
            self._stop.wait(self._limits.backoff_s)
            self._take(source, records)
            return 0
        self._take(source, records)
        return len(records)

    def _has_room(self) -> bool:
        """Return whether more can join the open batches."""
        full = any(partition.full(self._limits) for partition in self._partitions.values())
        return not full and self._held() < self._limits.max_held_bytes

    def _held(self) -> int:
        return sum(partition.held() for partition in self._partitions.values())

    def _take(self, source: Source, records: Sequence[Record]) -> None:
        """Hand messages to their partitions.

        A partition that went and came back within one poll may have brought messages from before and from after:
        they are dropped, and it is read again from its committed position. So are those of a partition that could not
        be adopted yet.
        """
        mixed = self._revoked & {record.place for record in records} & self._partitions.keys()
        for place in mixed:
            self._restart(source, place)
        for record in records:
            partition = self._partitions.get(record.place)
            if partition is None:
                self._dropped.add(record.place)
            elif record.place not in mixed:
                partition.take(record)

    def _restart(self, source: Source, place: TopicPartition) -> None:
        """Read a partition again from where it was adopted, or adopt it anew when the broker does not let us now."""
        try:
            source.seek(place, self._partitions[place].start)
        except Unavailable as error:
            log.warning("partition_adopted_anew", topic=place.topic, partition=place.partition, error=str(error))
            del self._partitions[place]
            self._dropped.add(place)

    def _relieve(self, source: Source) -> None:
        """Stop reading while too much is held in memory, and go on at half of that; but read on in planned ranges."""
        held = self._held()
        if held > self._limits.max_held_bytes and not self._choked:
            self._choked = True
            source.pause([p.place for p in self._partitions.values() if not p.failures and p.inherited is None])
            self._metrics.choked()
        elif self._choked and held <= self._limits.max_held_bytes // 2:
            self._choked = False
            source.resume([p.place for p in self._partitions.values() if not p.failures])

    def _adopt(self, source: Source) -> None:
        held = source.assignment()
        self._forget([place for place in self._partitions if place not in held])
        fresh = [place for place in held if place not in self._partitions]
        if not fresh:
            return
        committed = source.committed(fresh)
        for place in fresh:
            position = committed.get(place)
            plan = parse_plan(position.metadata) if position else None
            start = position.offset if position else EARLIEST
            if place in self._dropped:
                source.seek(place, start)  # before it counts as adopted: until this works, what comes is dropped
                self._dropped.discard(place)
            self._partitions[place] = Partition(place, start, plan, closed_at=time.monotonic())
            if plan is not None:
                log.info("plan_found", topic=place.topic, partition=place.partition, last=plan.last)
        source.resume(fresh)  # a pause outlives the assignment it was made in
        if self._choked:
            source.pause([place for place in fresh if self._partitions[place].inherited is None])

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
        records = partition.close(self._limits, now)
        inherited, partition.inherited = partition.inherited, None
        if not records:  # the planned range is gone, by retention
            return
        decoded = self._decode(records)
        plan = Plan(records[-1].offset, self._version, decoded.rows, digest(decoded.body))
        changed = inherited is not None and inherited != plan
        if changed:
            log.error("plan_changed", topic=partition.place.topic, partition=partition.place.partition,
                      planned=inherited, rebuilt=plan.text())  # fmt: skip
        partition.delivery = Delivery(
            records, plan, deque([records]), decoded, doubtful=inherited is not None, changed=changed
        )
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
        """Deliver the first part left. A refused batch is halved, and of a refused half each message stands alone.

        So the message to blame is tried with those of others twice, however many there are of its kind.
        """
        decoded = delivery.decoded = delivery.decoded or self._decode(part)
        whole = part is delivery.records
        plan = delivery.plan if whole else Plan(part[-1].offset, self._version, decoded.rows, digest(decoded.body))
        rejected: Sequence[Rejected] = decoded.rejected
        started = time.monotonic()
        try:
            if decoded.rows:
                self._store(delivery, decoded, _extent(part), plan.token(self._sink.table, part))
        except InvalidInput as refused:
            if len(part) > 1:
                delivery.replace_first(*_smaller(part, whole))
                return
            rejected = [Rejected(0, refused.reason, str(refused))]
        else:
            self._metrics.inserted(part, decoded, time.monotonic() - started)
        self._bury(part, rejected)
        delivery.replace_first()

    def _store(self, delivery: Delivery, decoded: DecodedBatch, extent: Extent, token: str) -> None:
        """Insert, and verify where that may not be the first time. Of a changed range only what is missing goes in."""
        was_doubtful, delivery.doubtful = delivery.doubtful, True
        if not delivery.changed:
            self._sink.write(decoded, token)
        if was_doubtful:
            self._sink.verify(decoded, extent, token)
            self._metrics.verified()
        delivery.doubtful = was_doubtful

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
        if partition.delivery is not None:
            partition.delivery.decoded = None  # it may be a long wait: rows take more memory than messages
        self._metrics.waited()
        self._report(str(error))

    def _delivered(self, source: Source, partition: Partition) -> None:
        partition.delivery = None
        if partition.failures:
            partition.failures = 0
            if not self._choked:
                source.resume([partition.place])


def _smaller(part: list[Record], whole: bool) -> list[list[Record]]:
    middle = len(part) // 2
    return [part[:middle], part[middle:]] if whole else [[record] for record in part]


def _extent(part: Sequence[Record]) -> Extent:
    return Extent(part[0].topic, part[0].partition, part[0].offset, part[-1].offset)


def _letter(record: Record, rejected: Rejected) -> Record:
    """Return what goes to the dead letters: the message, or the refused part of it in protobuf."""
    if rejected.part is None:
        return record
    kept = tuple(header for header in record.headers if header[0].lower() != "content-type")
    added = ("content-type", PROTOBUF.encode()), (INDEX_HEADER, str(rejected.first_index).encode())
    return replace(record, value=rejected.part, headers=(*kept, *added))
