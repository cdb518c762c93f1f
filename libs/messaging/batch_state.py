"""What a batch loop keeps of each partition: the open batch, a batch on its way, and when to close one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from libs.messaging.batch_plan import Plan
from libs.messaging.ports import EARLIEST, Record, TopicPartition
from libs.otlp.batch import DecodedBatch


class CloseReason(StrEnum):
    """Why a batch was closed."""

    PLANNED = "planned"
    BYTES = "bytes"
    MESSAGES = "messages"
    AGE = "age"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch closes, how long to wait for messages, and how long to stand back from a failing server."""

    max_bytes: int = 8 * 1024 * 1024
    max_messages: int = 5_000
    max_held_bytes: int = 64 * 1024 * 1024  # in open and waiting batches together: beyond it nothing more is read
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
    doubtful: bool = False  # an insert of it may have happened, by us or by a predecessor
    changed: bool = False  # a predecessor planned other rows for this range and may have inserted those

    @property
    def size(self) -> int:
        """Return the bytes of its messages."""
        return sum(len(r.value) for r in self.records)

    def replace_first(self, *smaller: list[Record]) -> None:
        """Put smaller parts, or none, in the place of the first one."""
        self.parts.popleft()
        self.parts.extendleft(reversed(smaller))
        self.decoded = None


@dataclass(slots=True)
class Partition:
    """One held partition: its open batch, the plan a predecessor left, or a batch being delivered."""

    place: TopicPartition
    start: int = EARLIEST  # where reading was to begin
    inherited: Plan | None = None
    records: list[Record] = field(default_factory=list)
    size: int = 0
    closed_at: float = 0.0  # when the batch before the open one was closed, or the partition adopted
    delivery: Delivery | None = None
    failures: int = 0
    retry_at: float = 0.0

    def take(self, record: Record) -> None:
        """Add a message; going back in offsets means the partition was re-read, so what was open is dropped."""
        if record.offset < self.start:
            return
        if self.records and record.offset <= self.records[-1].offset:
            self.records, self.size = [], 0
        self.records.append(record)
        self.size += len(record.value)

    def close_reason(self, limits: Limits, now: float) -> CloseReason | None:
        """Return why the open batch should be closed now, or None. A planned range waits for its end.

        Time counts from the batch before: a message after a lull goes on at once, and the partitions of a busy
        consumer, whose inserts follow each other, stay spread over the period instead of all falling due together.
        """
        if not self.records or self.delivery is not None:
            return None
        if self.inherited is not None:
            return CloseReason.PLANNED if self.records[-1].offset >= self.inherited.last else None
        if self.size >= limits.max_bytes:
            return CloseReason.BYTES
        if len(self.records) >= limits.max_messages:
            return CloseReason.MESSAGES
        return CloseReason.AGE if now - self.closed_at >= limits.max_age_s else None

    def full(self, limits: Limits) -> bool:
        """Return whether nothing more fits into the open batch."""
        return self.size >= limits.max_bytes or len(self.records) >= limits.max_messages

    def held(self) -> int:
        """Return the bytes of the messages it keeps in memory."""
        return self.size + (self.delivery.size if self.delivery else 0)

    def waiting(self) -> int:
        """Return how many messages are read but not stored."""
        return len(self.records) + (len(self.delivery.records) if self.delivery else 0)

    def close(self, limits: Limits, now: float) -> list[Record]:
        """Return the records of the batch: the planned range, or as many as the limits allow. The rest stays."""
        if self.inherited is not None:
            cut = sum(r.offset <= self.inherited.last for r in self.records)
        else:
            cut = _fitting(self.records, limits)
        records, rest = self.records[:cut], self.records[cut:]
        self.records, self.size, self.closed_at = rest, sum(len(r.value) for r in rest), now
        return records


def _fitting(records: Sequence[Record], limits: Limits) -> int:
    """Return how many of the records make a batch: up to the one that reaches a limit."""
    size = 0
    for count, record in enumerate(records[: limits.max_messages], start=1):
        size += len(record.value)
        if size >= limits.max_bytes:
            return count
    return min(len(records), limits.max_messages)
