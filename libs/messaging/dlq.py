"""Dead letters: what cannot be read is kept with its original bytes and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from libs.messaging.ports import OutgoingRecord, Producer, Record

log = structlog.get_logger()
MAX_ERROR_CHARS = 1000
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
