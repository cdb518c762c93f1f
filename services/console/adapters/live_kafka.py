"""Kafka -> live feed. Reads from the end without a group: a page that opens later reads the present by itself."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from google.protobuf.message import Message
from prometheus_client import Counter

from libs.kernel.errors import InvalidInput
from libs.messaging import cloudevents
from libs.messaging.topics import CORRELATION_HYPOTHESES, DEPLOYS_EVENTS, INCIDENTS_EVENTS
from services.console.handlers.live import Change, LiveFeed

TOPICS = tuple(t.name for t in (INCIDENTS_EVENTS, CORRELATION_HYPOTHESES, DEPLOYS_EVENTS))
REASSIGN_SECONDS = 30.0  # how soon new partitions and topics are noticed
RETRY_SECONDS = 2.0
REQUEST_SECONDS = 5.0
EVENTS = Counter("incidentscope_console_live_events", "Events read for open pages", ["topic", "outcome"])
log = structlog.get_logger()


class LiveKafka:
    """Reads events in its own thread until stopped; survives a broker that is away."""

    def __init__(self, bootstrap: str, feed: LiveFeed, topics: Sequence[str] = TOPICS) -> None:
        self._bootstrap = bootstrap
        self._feed = feed
        self._topics = topics
        self._stopping = threading.Event()
        self._assigned: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Read until stopped."""
        consumer = Consumer(_configuration(self._bootstrap))
        look_again = 0.0
        try:
            while not self._stopping.is_set():
                if time.monotonic() >= look_again:
                    found = self._assign(consumer)
                    look_again = time.monotonic() + (REASSIGN_SECONDS if found else RETRY_SECONDS)
                message = consumer.poll(0.5)
                if message is not None:
                    self._take(message)
        finally:
            self._feed.set_connected(False)
            consumer.close()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()

    def _assign(self, consumer: Consumer) -> bool:
        """Read every partition of the topics, new ones from their end; tell whether all topics were found."""
        try:
            return self._assign_found(consumer, consumer.list_topics(timeout=REQUEST_SECONDS).topics)
        except KafkaException as exc:
            self._feed.set_connected(False)
            log.warning("live_feed_waits", error=str(exc))
            return False

    def _assign_found(self, consumer: Consumer, known: Mapping[str, Any]) -> bool:
        found = [t for t in self._topics if t in known and known[t].error is None]
        places = {(t, p) for t in found for p in known[t].partitions}
        fresh = places - self._assigned
        if fresh:
            consumer.incremental_assign(_ends(consumer, fresh))
            self._assigned |= fresh
            log.info("live_feed_reads", partitions=len(self._assigned))
        self._feed.set_connected(bool(self._assigned))
        return len(found) == len(self._topics)

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            self._on_error(error)
            return
        try:
            event = cloudevents.decode(tuple(message.headers() or ()), message.value() or b"")
        except InvalidInput as exc:
            EVENTS.labels(message.topic(), exc.reason).inc()
            return
        EVENTS.labels(message.topic(), "ok").inc()
        self._feed.set_connected(True)
        subject = _subject(event.data) or event.subject
        kind = event.type.rpartition(".")[2]
        self._feed.announce_from_thread(Change(event.tenant, message.topic(), kind, subject))

    def _on_error(self, error: KafkaError) -> None:
        log.warning("live_feed_error", error=str(error))
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._feed.set_connected(False)


def _ends(consumer: Consumer, places: Iterable[tuple[str, int]]) -> list[TopicPartition]:
    """Return the partitions with the offset their next message gets; raises KafkaException.

    OFFSET_END would be looked up some time after the assignment, and what is published in between be missed.
    """
    ends = []
    for topic, partition in sorted(places):
        _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_SECONDS)
        ends.append(TopicPartition(topic, partition, high))
    return ends


def _subject(data: Message) -> str:
    """Return the incident or service an event is about."""
    incident = getattr(data, "incident", None)
    deploy = getattr(data, "deploy", None)
    if incident is not None:
        return str(incident.id)
    return str(deploy.service) if deploy is not None else str(getattr(data, "incident_id", ""))


def _configuration(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": f"console-live-{uuid.uuid4()}",  # required by the client; never joined
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 10_000,
    }
