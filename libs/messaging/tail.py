"""Events as they are published, from now on: without a group, for whoever reads the present by itself first."""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from libs.kernel.errors import InvalidInput
from libs.messaging import cloudevents
from libs.messaging.cloudevents import CloudEvent

REASSIGN_SECONDS = 30.0  # how soon new partitions and topics are noticed
RETRY_SECONDS = 2.0
REQUEST_SECONDS = 5.0
log = structlog.get_logger()


class Tail(ABC):
    """Reads committed events in its own thread until stopped; survives a broker that is away.

    The hooks are called in that thread.
    """

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._bootstrap = bootstrap
        self._topics = topics
        self._stopping = threading.Event()
        self._assigned: set[tuple[str, int]] = set()
        self._look_again = 0.0  # at the broker; after an error, soon

    @abstractmethod
    def heard(self, topic: str, event: CloudEvent) -> None:
        """Take an event."""

    @abstractmethod
    def spoiled(self, topic: str, reason: str) -> None:
        """Take note of a message that is no event of ours."""

    @abstractmethod
    def set_connected(self, connected: bool) -> None:
        """Take note of whether events arrive at all."""

    def wanted(self) -> bool:
        """Tell whether anybody listens: otherwise a message is not even decoded."""
        return True

    def run(self) -> None:
        """Read until stopped."""
        consumer = Consumer(_configuration(self._bootstrap))
        try:
            while not self._stopping.is_set():
                if time.monotonic() >= self._look_again:
                    found = self._assign(consumer)
                    self._look_again = time.monotonic() + (REASSIGN_SECONDS if found else RETRY_SECONDS)
                message = self._poll(consumer)
                if message is not None:
                    self._take(message)
        finally:
            self.set_connected(False)
            consumer.close()

    def _poll(self, consumer: Consumer) -> Any:
        try:
            return consumer.poll(0.5)
        except KafkaException as exc:
            log.warning("tail_waits", error=str(exc))
            self.set_connected(False)
            self._stopping.wait(RETRY_SECONDS)
            return None

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()

    def _assign(self, consumer: Consumer) -> bool:
        """Read every partition of the topics, new ones from their end; tell whether all topics were found."""
        try:
            return self._assign_found(consumer, consumer.list_topics(timeout=REQUEST_SECONDS).topics)
        except KafkaException as exc:
            self.set_connected(False)
            log.warning("tail_waits", error=str(exc))
            return False

    def _assign_found(self, consumer: Consumer, known: Mapping[str, Any]) -> bool:
        found = [t for t in self._topics if t in known and known[t].error is None]
        places = {(t, p) for t in found for p in known[t].partitions}
        fresh = places - self._assigned
        if fresh:
            consumer.incremental_assign(_ends(consumer, fresh))
            self._assigned |= fresh
            log.info("tail_reads", partitions=len(self._assigned))
        self.set_connected(bool(self._assigned))
        return len(found) == len(self._topics)

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            self._on_error(error)
            return
        self.set_connected(True)
        if not self.wanted():
            return
        try:
            self.heard(message.topic(), cloudevents.decode(tuple(message.headers() or ()), message.value() or b""))
        except InvalidInput as exc:
            self.spoiled(message.topic(), exc.reason)
        except Exception as exc:  # one event nobody can be told of ends neither the thread nor the process
            log.error("tail_event_failed", topic=message.topic(), error=repr(exc), exc_info=exc)
            self.spoiled(message.topic(), "failed")

    def _on_error(self, error: KafkaError) -> None:
        log.warning("tail_error", error=str(error))
        self._look_again = min(self._look_again, time.monotonic() + RETRY_SECONDS)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.set_connected(False)


def _ends(consumer: Consumer, places: Iterable[tuple[str, int]]) -> list[TopicPartition]:
    """Return the partitions with the offset their next message gets; raises KafkaException.

    OFFSET_END would be looked up some time after the assignment, and what is published in between be missed.
    """
    ends = []
    for topic, partition in sorted(places):
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_SECONDS)
        ends.append(TopicPartition(topic, partition, high))
    return ends


def _configuration(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": f"tail-{uuid.uuid4()}",  # required by the client; never joined
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 10_000,
    }
