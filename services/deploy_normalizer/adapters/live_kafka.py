"""`deploys.events` to those who watch: read from its end, without a group, so every replica hears every change."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterable
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged

from libs.kernel.errors import InvalidInput
from libs.messaging import cloudevents
from libs.messaging.topics import DEPLOYS_EVENTS
from services.deploy_normalizer.adapters.messages import from_message
from services.deploy_normalizer.handlers.live import LiveDeploys

TOPIC = DEPLOYS_EVENTS.name
LOOK_AGAIN_SECONDS = 30.0  # how soon new partitions are noticed
RETRY_SECONDS = 2.0
REQUEST_SECONDS = 5.0
log = structlog.get_logger()


class LiveKafka:
    """Reads in its own thread until stopped; survives a broker that is away."""

    def __init__(self, bootstrap: str, live: LiveDeploys, loop: asyncio.AbstractEventLoop) -> None:
        self._bootstrap = bootstrap
        self._live = live
        self._loop = loop
        self._stopping = threading.Event()
        self._assigned: set[int] = set()

    def run(self) -> None:
        """Read until stopped."""
        consumer = Consumer(_configuration(self._bootstrap))
        look_again = 0.0
        try:
            while not self._stopping.is_set():
                if time.monotonic() >= look_again:
                    found = self._assign(consumer)
                    look_again = time.monotonic() + (LOOK_AGAIN_SECONDS if found else RETRY_SECONDS)
                message = consumer.poll(0.5)
                if message is not None:
                    look_again = self._take(message, look_again)
        finally:
            consumer.close()

    def stop(self) -> None:
        """Make `run` return."""
        self._stopping.set()

    def _assign(self, consumer: Consumer) -> bool:
        """Read every partition, new ones from their end; tell whether the broker answered."""
        try:
            topic = consumer.list_topics(TOPIC, timeout=REQUEST_SECONDS).topics[TOPIC]
            fresh = set(topic.partitions) - self._assigned
            if fresh:
                consumer.incremental_assign(_ends(consumer, fresh))
                self._assigned |= fresh
        except KafkaException as exc:
            log.warning("live_deploys_wait", error=str(exc))
            self._connected(False)
            return False
        self._connected(bool(self._assigned))
        return bool(self._assigned)

    def _take(self, message: Any, look_again: float) -> float:
        """Announce a message; return when to look at the broker again, which after an error is soon."""
        error = message.error()
        if error is not None:
            log.warning("live_deploys_error", error=str(error))
            if error.code() == KafkaError._ALL_BROKERS_DOWN:
                self._connected(False)
            return time.monotonic() + RETRY_SECONDS
        try:
            event = cloudevents.decode(tuple(message.headers() or ()), message.value() or b"")
            if isinstance(event.data, DeployChanged):
                self._tell(self._live.announce, from_message(event.data.deploy))
        except InvalidInput as exc:
            log.warning("live_deploys_unreadable", reason=exc.reason, error=str(exc), offset=message.offset())
        return look_again

    def _connected(self, connected: bool) -> None:
        self._tell(self._live.set_connected, connected)

    def _tell(self, listener: Any, word: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(listener, word)


def _ends(consumer: Consumer, partitions: Iterable[int]) -> list[TopicPartition]:
    """Return the partitions with the offset their next message gets; raises KafkaException.

    OFFSET_END would be looked up some time after the assignment, and what is published in between be missed.
    """
    ends = []
    for partition in sorted(partitions):
        _, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=REQUEST_SECONDS)
        ends.append(TopicPartition(TOPIC, partition, high))
    return ends


def _configuration(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "group.id": f"deploy-normalizer-live-{uuid.uuid4()}",  # required by the client; never joined
        "enable.auto.commit": False,
        "auto.offset.reset": "latest",
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "reconnect.backoff.ms": 500,
        "reconnect.backoff.max.ms": 10_000,
    }
