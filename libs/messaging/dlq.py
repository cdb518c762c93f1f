"""Dead letters: what cannot be read is kept with its original bytes and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from libs.kernel.errors import InvalidInput
from libs.messaging.ports import OutgoingRecord, Producer, Record

log = structlog.get_logger()
MAX_ERROR_CHARS = 1000
INDEX_HEADER = "dlq_index"  # on a part of a message: the number of its first row
DEAD_LETTERS = Counter("incidentscope_dead_letters_total", "Messages sent to a dead-letter topic", ["topic", "reason"])


@dataclass(frozen=True, slots=True)
class Rejection:
    """One message that cannot be used: why, as a stable label and in words."""

    record: Record
    reason: str
    error: str


class DeadLetters:
    """Writes rejected messages to `<topic>.dlq`. Offsets are committed only after it has returned."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def send(self, record: Record, reason: str, error: str) -> None:
        """Write one message and wait for the broker; raises DeliveryFailed, upon which the reader must stop."""
        self.send_all([Rejection(record, reason, error)])

    def send_all(self, rejections: Sequence[Rejection]) -> None:
        """Write messages and wait for the broker; raises DeliveryFailed, upon which the reader must stop."""
        self._producer.send([_letter(r) for r in rejections])
        for r in rejections:
            DEAD_LETTERS.labels(r.record.topic, r.reason).inc()
            log.warning(
                "dead_letter", topic=r.record.topic, partition=r.record.partition, offset=r.record.offset,
                reason=r.reason, error=r.error[:MAX_ERROR_CHARS],
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter read again: the record as it was, with its own coordinates, and why it was refused."""

    record: Record
    reason: str


def open_letter(letter: Record) -> Letter:
    """Return what a message of a dead-letter topic was; raises InvalidInput `no_coordinates`."""
    try:
        record = Record(
            _required(letter, "dlq_topic"), int(_required(letter, "dlq_partition")),
            int(_required(letter, "dlq_offset")), letter.key, letter.value,
            tuple(h for h in letter.headers if h[0] == INDEX_HEADER or not h[0].startswith("dlq_")),
            int(letter.header("dlq_timestamp_ms") or letter.timestamp_ms),
        )  # fmt: skip
        first_index(record)
    except ValueError as error:
        where = f"{letter.topic} partition {letter.partition} offset {letter.offset}"
        raise InvalidInput("no_coordinates", f"{where} does not say where it comes from: {error}") from error
    return Letter(record, letter.header("dlq_reason") or "")


def first_index(record: Record) -> int:
    """Return the number of the first row of a letter's record; raises ValueError."""
    return int(record.header(INDEX_HEADER) or 0)


def _required(letter: Record, name: str) -> str:
    value = letter.header(name)
    if value is None:
        raise ValueError(f"the header {name} is missing")
    return value


def _letter(rejection: Rejection) -> OutgoingRecord:
    record = rejection.record
    place = {
        "dlq_topic": record.topic,
        "dlq_partition": str(record.partition),
        "dlq_offset": str(record.offset),
        "dlq_reason": rejection.reason,
        "dlq_error": rejection.error[:MAX_ERROR_CHARS],
        "dlq_first_seen": datetime.now(UTC).isoformat(),
        "dlq_timestamp_ms": str(record.timestamp_ms),
    }
    added = tuple((name, value.encode()) for name, value in place.items())
    return OutgoingRecord(f"{record.topic}.dlq", record.key, record.value, record.headers + added)
