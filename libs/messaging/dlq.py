"""Dead letters: what cannot be read is kept with its original bytes and the reason.

A letter its topic does not take goes without its body, and at the very last without key and headers: it names size and
SHA-256 of what was left out, which stays in the source topic, at the coordinates given, for as long as that keeps it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from libs.kernel.errors import InvalidInput
from libs.messaging.ports import DeliveryFailed, MessageTooLarge, OutgoingRecord, Producer, Record

log = structlog.get_logger()
MAX_ERROR_CHARS = 1000
INDEX_HEADER = "dlq_index"  # on a part of a message: the number of its first row
OMITTED_HEADER = "dlq_omitted"  # on a letter that is not whole: what was left out, and why
SIZE_HEADER = "dlq_body_bytes"
HASH_HEADER = "dlq_body_sha256"
EVERYTHING = "its body, key and headers"
MAX_STRIPPED_BYTES = 64 * 1024  # of key and headers on a letter without its body
DEAD_LETTERS = Counter("incidentscope_dead_letters_total", "Messages sent to a dead-letter topic", ["topic", "reason"])
STRIPPED = Counter(
    "incidentscope_dead_letters_without_body_total",
    "Dead letters that their topic was too small for, so that the body was left out", ["topic"],
)  # fmt: skip


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
        self._write([_letter(r) for r in rejections])
        for r in rejections:
            DEAD_LETTERS.labels(r.record.topic, r.reason).inc()
            log.warning(
                "dead_letter", topic=r.record.topic, partition=r.record.partition, offset=r.record.offset,
                reason=r.reason, error=r.error[:MAX_ERROR_CHARS],
            )  # fmt: skip

    def _write(self, letters: Sequence[OutgoingRecord]) -> None:
        try:
            self._producer.send(letters)
        except MessageTooLarge as refused:
            for index in refused.refused:  # alone: it may only have shared a batch with one that is too large
                self._write_alone(letters[index])

    def _write_alone(self, letter: OutgoingRecord) -> None:
        try:
            self._producer.send([letter])
        except MessageTooLarge:
            self._write_stripped(letter)
            STRIPPED.labels(letter.topic).inc()
            log.error("dead_letter_without_body", topic=letter.topic, bytes=len(letter.value))

    def _write_stripped(self, letter: OutgoingRecord) -> None:
        try:
            self._producer.send([_stripped(letter)])
        except MessageTooLarge as error:  # to drop it would lose it: the reader waits, and says for what
            advice = f"{letter.topic} does not even take a letter without its body: raise its max.message.bytes"
            raise DeliveryFailed(advice) from error


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter read again: the record as it was, with its own coordinates, and why it was refused.

    `omitted` is empty, or says what the letter lacks and where that may still be found.
    """

    record: Record
    reason: str
    omitted: str = ""


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
    return Letter(record, letter.header("dlq_reason") or "", _omitted(letter, record))


def _omitted(letter: Record, record: Record) -> str:
    what = letter.header(OMITTED_HEADER)
    if what is None:
        return ""
    size = letter.header(SIZE_HEADER)
    why = f"too large for {letter.topic} ({size} bytes, SHA-256 {letter.header(HASH_HEADER)})"
    return (
        f"the letter came without {what}: {why if size else 'they could not be unpacked'}; for as long as "
        f"{record.topic} keeps it, the message is at partition {record.partition}, offset {record.offset}"
    )


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
    if record.unreadable:
        place[OMITTED_HEADER] = EVERYTHING
    added = tuple((name, value.encode()) for name, value in place.items())
    return OutgoingRecord(f"{record.topic}.dlq", record.key, record.value, record.headers + added)


def _stripped(letter: OutgoingRecord) -> OutgoingRecord:
    """Return the letter without its body, and without key and foreign headers where those are large too."""
    own = tuple(h for h in letter.headers if h[0].startswith("dlq_"))
    attached = len(letter.key or b"") + sum(len(name) + len(value) for name, value in letter.headers)
    large = attached > MAX_STRIPPED_BYTES
    named = {
        OMITTED_HEADER: EVERYTHING if large else "its body",
        SIZE_HEADER: str(len(letter.value)),
        HASH_HEADER: hashlib.sha256(letter.value).hexdigest(),
    }
    added = tuple((name, value.encode()) for name, value in named.items())
    return replace(
        letter, key=None if large else letter.key, value=b"", headers=(own if large else letter.headers) + added
    )
