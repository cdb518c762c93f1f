from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.message import Message
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged
from incidentscope.deploy.v1.deploy_pb2 import Deploy
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened
from incidentscope.incident.v1.incident_pb2 import Incident

from libs.messaging import cloudevents
from libs.messaging.cloudevents import CloudEvent
from services.console.adapters.live_kafka import LiveKafka
from services.console.handlers.live import Change, LiveFeed
from tests.unit.libs.messaging.from_broker import FromBroker


class Heard(LiveFeed):
    """Keeps what is announced."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[Change] = []

    def announce_from_thread(self, change: Change) -> None:
        """Keep a change."""
        self.changes.append(change)


@pytest.mark.parametrize(
    ("topic", "data", "subject"),
    [
        ("incidents.events", IncidentOpened(incident=Incident(id="i1")), "i1"),
        ("correlation.hypotheses", HypothesesPublished(incident_id="i2"), "i2"),
        ("deploys.events", DeployChanged(deploy=Deploy(service="payments")), "payments"),
    ],
)
def test_events_become_changes_of_what_they_are_about(topic: str, data: Message, subject: str) -> None:
    feed = Heard()
    event = CloudEvent("1", "test", datetime.now(UTC), "s", "shop", data)
    headers, value = cloudevents.encode(event)
    LiveKafka("nowhere", feed)._take(FromBroker(topic, value, headers))
    assert feed.changes == [Change("shop", topic, type(data).__name__, subject)]


@pytest.mark.parametrize(
    ("value", "headers"), [(b"\xff", None), (None, [("ce_id", b"x")]), (b"", [("ce_type", b"\xff")])]
)
def test_what_is_no_event_is_counted_and_passed_over(
    value: bytes | None, headers: list[tuple[str, bytes]] | None
) -> None:
    feed = Heard()
    LiveKafka("nowhere", feed)._take(FromBroker("incidents.events", value, headers))
    assert feed.changes == []
