"""The outbox without a database: lanes and rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from incidentscope.alert.v1 import alert_events_pb2
from incidentscope.incident.v1 import incident_events_pb2, incident_pb2

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent, decode, record
from libs.messaging.topics import INCIDENTS_EVENTS
from libs.storage.outbox import LANES, enqueue, from_row, lane_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def event(title: str = "x") -> CloudEvent:
    data = incident_events_pb2.IncidentOpened(incident=incident_pb2.Incident(id="i1", title=title))
    return CloudEvent("e1", "/test", NOW, "i1", "default", data)


class Unreachable:
    """Stands where a connection would be: nothing may be asked of it."""


def test_lanes_are_stable_and_spread() -> None:
    assert [lane_of(k) for k in (b"", b"a", b"incident")] == [0, 3, 10]
    spread = Counter(lane_of(f"key-{n}".encode()) for n in range(4000))
    assert set(spread) == set(range(LANES))
    assert max(spread.values()) < 2 * min(spread.values())


def test_a_row_becomes_the_message_it_was_made_of() -> None:
    sent = record(INCIDENTS_EVENTS, "i1", event("Grüße"))
    headers = [[name, value.decode()] for name, value in sent.headers]
    again = from_row(sent.topic, sent.key or b"", headers, sent.value)
    assert again == sent
    assert decode(again.headers, again.value) == event("Grüße")


def test_an_event_its_topic_does_not_carry_is_refused_before_anything_is_written() -> None:
    wrong = CloudEvent("e1", "/test", NOW, "s", "default", alert_events_pb2.AlertReceived())
    nowhere: Any = Unreachable()
    with pytest.raises(ValueError, match="does not carry"):
        asyncio.run(enqueue(nowhere, INCIDENTS_EVENTS, "k", wrong))


def test_an_event_the_broker_would_refuse_for_ever_is_refused_at_once() -> None:
    nowhere: Any = Unreachable()
    with pytest.raises(InvalidInput, match="does not fit a Kafka message"):
        asyncio.run(enqueue(nowhere, INCIDENTS_EVENTS, "k", event("x" * 5 * 1024 * 1024)))
