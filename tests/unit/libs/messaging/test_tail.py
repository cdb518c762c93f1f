"""Events as they are published: what reaches the hooks, and what an error does."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import KafkaError
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened

from libs.messaging import cloudevents
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.tail import RETRY_SECONDS, Tail
from tests.unit.libs.messaging.from_broker import FromBroker

TOPIC = "incidents.events"


class Kept(Tail):
    """Keeps what the hooks are told."""

    def __init__(self, listening: bool = True) -> None:
        super().__init__("nowhere", (TOPIC,))
        self.listening = listening
        self.said: list[object] = []
        self._look_again = time.monotonic() + 1000

    def wanted(self) -> bool:
        """Tell what the test wants."""
        return self.listening

    def heard(self, topic: str, event: CloudEvent) -> None:
        """Keep an event."""
        self.said.append((topic, event.id))

    def spoiled(self, topic: str, reason: str) -> None:
        """Keep a reason."""
        self.said.append((topic, reason))

    def set_connected(self, connected: bool) -> None:
        """Keep the state."""
        self.said.append(connected)

    @property
    def waits(self) -> float:
        """Return the seconds until the broker is looked at again."""
        return self._look_again - time.monotonic()


def message() -> FromBroker:
    headers, value = cloudevents.encode(CloudEvent("7", "test", datetime.now(UTC), "s", "shop", IncidentOpened()))
    return FromBroker(TOPIC, value, headers)


def test_an_event_that_cannot_be_told_ends_neither_the_thread_nor_what_follows() -> None:
    class Failing(Kept):
        def heard(self, topic: str, event: CloudEvent) -> None:
            if not self.said.count((topic, "failed")):
                raise ValueError("year is out of range")
            super().heard(topic, event)

    tail = Failing()
    tail._take(message())
    tail._take(message())
    assert tail.said == [True, (TOPIC, "failed"), True, (TOPIC, "7")]


def test_an_event_is_heard_and_shows_that_the_broker_answers() -> None:
    tail = Kept()
    tail._take(message())
    assert tail.said == [True, (TOPIC, "7")]


def test_what_is_no_event_is_said_to_be_spoiled() -> None:
    tail = Kept()
    tail._take(FromBroker(TOPIC, b"\xff"))
    assert [type(word) for word in tail.said] == [bool, tuple]


def test_nothing_is_decoded_when_nobody_listens() -> None:
    tail = Kept(listening=False)
    tail._take(message())
    assert tail.said == [True]


@pytest.mark.parametrize(("code", "said"), [(KafkaError._ALL_BROKERS_DOWN, [False]), (KafkaError._TRANSPORT, [])])
def test_after_an_error_the_broker_is_looked_at_again_soon(code: int, said: list[bool]) -> None:
    tail = Kept()
    tail._take(FromBroker(failure=KafkaError(code)))
    assert tail.said == said
    assert tail.waits <= RETRY_SECONDS
