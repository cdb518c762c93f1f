"""CloudEvents in Kafka's binary mode."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged
from incidentscope.deploy.v1.deploy_pb2 import Deploy
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened
from incidentscope.incident.v1.incident_pb2 import Incident

from libs.kernel.errors import InvalidInput
from libs.messaging import topics
from libs.messaging.cloudevents import CloudEvent, decode, encode, record

EVENT = CloudEvent(
    id="e1",
    source="incident_service",
    time=datetime(2026, 3, 1, 12, tzinfo=UTC),
    subject="i1",
    tenant="default",
    data=IncidentOpened(incident=Incident(id="i1")),
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def headers_with(**changes: bytes | None) -> tuple[tuple[str, bytes], ...]:
    headers, _ = encode(EVENT)
    kept = {**dict(headers), **{k.replace("content_type", "content-type"): v for k, v in changes.items()}}
    return tuple((k, v) for k, v in kept.items() if v is not None)


def test_an_event_survives_the_wire() -> None:
    assert decode(*encode(EVENT)) == EVENT


def test_the_headers_are_those_of_the_specification() -> None:
    headers = dict(encode(EVENT)[0])

    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"incidentscope.incident.v1.IncidentOpened"
    assert headers["ce_time"] == b"2026-03-01T12:00:00Z"
    assert headers["content-type"] == b"application/protobuf"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ce_id": None}, "not_cloudevent"),
        ({"ce_tenantid": b""}, "not_cloudevent"),
        ({"ce_specversion": b"0.3"}, "not_cloudevent"),
        ({"ce_type": b"com.example.Unknown"}, "unknown_type"),
        ({"ce_time": b"yesterday"}, "bad_time"),
        ({"ce_time": b"2026-03-01T12:00:00"}, "bad_time"),
    ],
)
def test_a_message_that_is_not_our_event_is_refused_with_a_reason(changes: dict[str, bytes], reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode(headers_with(**changes), encode(EVENT)[1])

    assert refused.value.reason == reason


def test_a_truncated_value_is_refused() -> None:
    headers, value = encode(EVENT)

    with pytest.raises(InvalidInput) as refused:
        decode(headers, value[:-1])

    assert refused.value.reason == "bad_data"


def test_a_topic_takes_only_the_events_it_is_declared_for() -> None:
    assert record(topics.INCIDENTS_EVENTS, "i1", EVENT).topic == "incidents.events"

    with pytest.raises(ValueError, match="does not carry"):
        record(
            topics.INCIDENTS_EVENTS, "d1", CloudEvent("e", "s", EVENT.time, "d", "t", DeployChanged(deploy=Deploy()))
        )
