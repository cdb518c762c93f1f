"""Stepping over what the Kafka client cannot unpack: it would ask for the same bytes for ever.

A message of a few KiB may unpack to more than the client takes (100 MB), or be damaged. In its place comes a record
that says so, and reading goes on behind it; of a batch, one message after the other, as only its start is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import confluent_kafka as ck
import structlog
from prometheus_client import Counter

from libs.messaging.ports import Record, TopicPartition

CODES = frozenset({ck.KafkaError._BAD_COMPRESSION, ck.KafkaError._BAD_MSG})
UNREADABLE = Counter(
    "incidentscope_kafka_unreadable_messages_total",
    "Messages stepped over, as the client cannot unpack them",
    ["topic"],
)
log = structlog.get_logger()


class Stepping:
    """For one client consumer; forgets a partition that is read from elsewhere."""

    def __init__(self) -> None:
        self._next: dict[TopicPartition, int] = {}

    def forget(self, places: Iterable[TopicPartition]) -> None:
        """Take note that these partitions are read from another offset from now on."""
        for place in places:
            self._next.pop(place, None)

    def over(self, consumer: Any, errors: Iterable[Any]) -> Iterator[Record]:
        """Yield a record for each partition with such an error among those of one poll, and read on behind it.

        Errors that came twice were there before the first was stepped over: what is behind may be readable.
        """
        seen: set[TopicPartition] = set()
        for message in errors:
            place = TopicPartition(message.topic(), message.partition())
            if place not in seen and message.offset() >= 0:
                seen.add(place)
                yield self._over(consumer, place, message)

    def _over(self, consumer: Any, place: TopicPartition, message: Any) -> Record:
        offset = max(message.offset(), self._next.get(place, 0))  # a batch names its first message whichever was asked
        consumer.seek(ck.TopicPartition(place.topic, place.partition, offset + 1))
        self._next[place] = offset + 1
        why = message.error().str()
        UNREADABLE.labels(place.topic).inc()
        log.error("message_unreadable", topic=place.topic, partition=place.partition, offset=offset, error=why)
        return Record(place.topic, place.partition, offset, None, b"", (), 0, unreadable=why)
