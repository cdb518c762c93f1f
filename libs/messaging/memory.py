"""A broker in memory, for tests. It passes the suite that Kafka passes (tests/contract/test_broker.py)."""

from __future__ import annotations

import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from libs.kernel.errors import Unavailable
from libs.messaging.ports import DeliveryFailed, MessageTooLarge, OutgoingRecord, Position, Record, TopicPartition
from libs.messaging.topics import MAX_MESSAGE_BYTES


class MemoryBroker:
    """Topics, partitions and committed positions. `down` makes every call fail, as an unreachable broker does."""

    def __init__(self, topics: Mapping[str, int], max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Take the number of partitions of each topic, and what a message may measure."""
        self.down = False
        self.max_message_bytes = max_message_bytes
        self._partitions = dict(topics)
        self._logs: dict[TopicPartition, list[Record]] = defaultdict(list)
        self._committed: dict[tuple[str, TopicPartition], Position] = {}
        self._members: dict[str, list[MemoryConsumer]] = defaultdict(list)
        self._lock = threading.RLock()

    def producer(self) -> MemoryProducer:
        """Return a producer."""
        return MemoryProducer(self)

    def consumer(self, group: str, topics: Sequence[str]) -> MemoryConsumer:
        """Return a member of a group; the group's partitions are dealt out anew among its members."""
        with self._lock:
            member = MemoryConsumer(self, group, topics)
            self._members[group].append(member)
            self._deal(group)
        return member

    def takes(self, record: OutgoingRecord) -> bool:
        """Return whether a message is small enough."""
        headers = sum(len(name) + len(value) for name, value in record.headers)
        return len(record.key or b"") + len(record.value) + headers <= self.max_message_bytes

    def append(self, record: OutgoingRecord) -> None:
        """Write one message, choosing its partition by key; raises DeliveryFailed."""
        with self._lock:
            if self.down or record.topic not in self._partitions:
                raise DeliveryFailed(f"cannot write to {record.topic}")
            number = zlib.crc32(record.key or b"") % self._partitions[record.topic]
            log = self._logs[TopicPartition(record.topic, number)]
            now = int(time.time() * 1000)
            log.append(Record(record.topic, number, len(log), record.key, record.value, record.headers, now))

    def read(self, place: TopicPartition, offset: int, limit: int) -> list[Record]:
        """Return messages of a partition from an offset on; raises Unavailable."""
        with self._lock:
            if self.down:
                raise Unavailable("the broker is down")
            return self._logs[place][offset : offset + limit]

    def store(self, group: str, positions: Mapping[TopicPartition, Position]) -> None:
        """Keep committed positions; raises Unavailable."""
        with self._lock:
            if self.down:
                raise Unavailable("the broker is down")
            for place, position in positions.items():
                self._committed[group, place] = position

    def stored(self, group: str, place: TopicPartition) -> Position | None:
        """Return a committed position."""
        return self._committed.get((group, place))

    def leave(self, member: MemoryConsumer) -> None:
        """Take a member out of its group."""
        with self._lock:
            self._members[member.group].remove(member)
            self._deal(member.group)

    def _deal(self, group: str) -> None:
        members = self._members[group]
        for index, member in enumerate(members):
            places = [TopicPartition(t, p) for t in member.topics for p in range(self._partitions.get(t, 0))]
            member.assign(places[index :: len(members)])


class MemoryProducer:
    """Writes to a MemoryBroker."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write the records; raises DeliveryFailed or MessageTooLarge."""
        too_large = [index for index, record in enumerate(records) if not self._broker.takes(record)]
        for index, record in enumerate(records):
            if index not in too_large:
                self._broker.append(record)
        if too_large:
            raise MessageTooLarge(f"{records[too_large[0]].topic} takes no message of that size", too_large)

    def close(self) -> None:
        """Do nothing."""


class MemoryConsumer:
    """Reads from a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, group: str, topics: Sequence[str]) -> None:
        self.group = group
        self.topics = tuple(topics)
        self._broker = broker
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def assign(self, places: Sequence[TopicPartition]) -> None:
        """Hold these partitions from now on, each from its committed position or the start."""
        kept = {p: self._positions[p] for p in places if p in self._positions}
        committed = {p: self._broker.stored(self.group, p) for p in places if p not in kept}
        self._positions = kept | {p: position.offset if position else 0 for p, position in committed.items()}

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return up to max_records, waiting up to timeout_s for the first; raises Unavailable."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._take(max_records)
            if found or time.monotonic() >= deadline:
                return found
            time.sleep(0.005)

    def _take(self, max_records: int) -> list[Record]:
        found: list[Record] = []
        for place in sorted(self._positions.keys() - self._paused):
            records = self._broker.read(place, self._positions[place], max_records - len(found))
            self._positions[place] += len(records)
            found += records
        return found

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions; raises Unavailable, also for a partition this member does not hold."""
        if not positions.keys() <= self._positions.keys():
            raise Unavailable("the group has moved the partition on")
        self._broker.store(self.group, positions)

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:
        """Return what was last committed for those partitions that have it."""
        found = {p: self._broker.stored(self.group, p) for p in places}
        return {p: position for p, position in found.items() if position is not None}

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions this member holds now."""
        return sorted(self._positions)

    def pause(self, places: Sequence[TopicPartition]) -> None:
        """Stop fetching from partitions."""
        self._paused |= set(places)

    def resume(self, places: Sequence[TopicPartition]) -> None:
        """Fetch from partitions again."""
        self._paused -= set(places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Continue a held partition from an offset."""
        if place in self._positions:
            self._positions[place] = max(0, offset)  # nothing is ever deleted here

    def close(self) -> None:
        """Leave the group."""
        self._broker.leave(self)
