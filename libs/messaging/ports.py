"""What the rest of the code knows of a broker. Kafka and the in-memory broker pass the same suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.kernel.errors import InvalidInput, Unavailable

Headers = tuple[tuple[str, bytes], ...]
EARLIEST = -2  # instead of an offset: the oldest message there is


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One message as read: its place, its bytes and its headers. `timestamp_ms` is Unix time in milliseconds.

    `unreadable` says why nothing but its place is known, where that is so.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    timestamp_ms: int
    unreadable: str = ""

    @property
    def place(self) -> TopicPartition:
        """Return the partition it was read from."""
        return TopicPartition(self.topic, self.partition)

    def header(self, name: str) -> str | None:
        """Return the last header of that name, in whatever case, as text, or None; undecodable bytes are replaced."""
        wanted = name.lower()
        for key, value in reversed(self.headers):
            if key.lower() == wanted:
                return value.decode("utf-8", "replace")
        return None


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """One message to be written."""

    topic: str
    key: bytes | None
    value: bytes
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Position:
    """A committed position: the next offset to read, and the text committed with it."""

    offset: int
    metadata: str = ""


class DeliveryFailed(Unavailable):
    """The broker did not acknowledge a message; it may or may not have been written."""


class MessageTooLarge(InvalidInput):
    """Messages are larger than their topic takes and never will be written; all others of the call are.

    `refused` are their places among the records of the call.
    """

    def __init__(self, message: str, refused: Sequence[int]) -> None:
        super().__init__("too_large", message)
        self.refused = tuple(refused)


class Producer(Protocol):
    """Writes messages, acknowledged by all in-sync replicas."""

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write the records and return once all are acknowledged; raises DeliveryFailed or MessageTooLarge."""
        ...

    def close(self) -> None:
        """Flush and release the connection."""
        ...


class Consumer(Protocol):
    """Reads messages as a member of a group, from the earliest offset when nothing was committed."""

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return up to max_records, waiting up to timeout_s for the first; raises Unavailable."""
        ...

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions synchronously; raises Unavailable, also when the group has moved the partition on."""
        ...

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:
        """Return what was last committed for those partitions that have it."""
        ...

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions this member holds now."""
        ...

    def pause(self, places: Sequence[TopicPartition]) -> None:
        """Stop fetching from partitions while poll keeps the membership alive."""
        ...

    def resume(self, places: Sequence[TopicPartition]) -> None:
        """Fetch from partitions again."""
        ...

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Continue a held partition from an offset, or from EARLIEST."""
        ...

    def close(self) -> None:
        """Leave the group and release the connection."""
        ...
