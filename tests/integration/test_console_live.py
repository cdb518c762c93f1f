"""The live feed against a real broker."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from google.protobuf.message import Message
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened
from incidentscope.incident.v1.incident_pb2 import Incident

from libs.messaging import cloudevents
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.kafka import KafkaProducer
from libs.messaging.ports import OutgoingRecord
from libs.messaging.topics import CORRELATION_HYPOTHESES, INCIDENTS_EVENTS, Topic
from services.console.adapters.live_kafka import LiveKafka
from services.console.handlers.live import Change, LiveFeed

if TYPE_CHECKING:
    from tests.servers import Servers

SECONDS = 30.0


class Heard(LiveFeed):
    """Keeps what is announced."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def announce_from_thread(self, change: Change) -> None:
        """Keep a change."""
        self.changes.append(change)

    def subjects(self) -> list[str]:
        """Return what the changes are about."""
        return [c.subject for c in self.changes]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def send(producer: KafkaProducer, topic: Topic, data: Message, key: str) -> None:
    """Publish an event of the tenant `shop`."""
    event = CloudEvent(str(uuid.uuid4()), "test", datetime.now(UTC), key, "shop", data)
    producer.send([cloudevents.record(topic, key, event)])


def test_what_is_published_after_the_start_is_heard_and_nothing_before(stack: Servers) -> None:
    producer = KafkaProducer(stack.kafka_bootstrap)
    before, after, cause = (str(uuid.uuid4()) for _ in range(3))
    send(producer, INCIDENTS_EVENTS, IncidentOpened(incident=Incident(id=before)), before)
    feed = Heard()
    live = LiveKafka(stack.kafka_bootstrap, feed)
    thread = threading.Thread(target=live.run)
    thread.start()
    try:
        until(lambda: feed.connected)
        producer.send([OutgoingRecord(INCIDENTS_EVENTS.name, b"x", b"no event")])
        send(producer, INCIDENTS_EVENTS, IncidentOpened(incident=Incident(id=after)), after)
        send(producer, CORRELATION_HYPOTHESES, HypothesesPublished(incident_id=cause), cause)
        until(lambda: {after, cause} <= set(feed.subjects()))
    finally:
        live.stop()
        thread.join(SECONDS)
        producer.close()
    assert not thread.is_alive()
    assert before not in feed.subjects()
    assert not feed.connected


def test_without_a_broker_it_keeps_trying_and_still_stops() -> None:
    feed = Heard()
    live = LiveKafka("127.0.0.1:1", feed)
    thread = threading.Thread(target=live.run)
    thread.start()
    time.sleep(1)
    live.stop()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert not feed.connected
