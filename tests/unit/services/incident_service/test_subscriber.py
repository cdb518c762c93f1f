"""Events as they come, and what is refused of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2
from incidentscope.correlation.v1 import correlation_events_pb2, correlation_pb2

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent
from services.incident_service.adapters.subscriber import decode_analysis, decode_group
from services.incident_service.domain.alert_group import Flush
from services.incident_service.domain.model import Severity

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def event(data: Message, tenant: str = "t") -> CloudEvent:
    return CloudEvent("e1", "/test", NOW, "s", tenant, data)


def started(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(NOW + timedelta(seconds=seconds))
    return stamp


def group() -> alert_events_pb2.AlertGroupNotified:
    firing = alert_pb2.Alert(
        fingerprint="f1", status=alert_pb2.ALERT_STATUS_FIRING, name="Slow", service="cart",
        severity=alert_pb2.SEVERITY_WARNING, annotations={"description": "p95 is 3 s"}, starts_at=started(-60),
    )  # fmt: skip
    return alert_events_pb2.AlertGroupNotified(
        tenant_id="t", group_key="k", alerts=[firing], status=alert_pb2.ALERT_STATUS_FIRING,
        reason=alert_events_pb2.FLUSH_REASON_NEW_ALERTS,
    )  # fmt: skip


def analysis() -> correlation_events_pb2.HypothesesPublished:
    return correlation_events_pb2.HypothesesPublished(
        tenant_id="t", incident_id="0190c5a0-0000-7000-8000-000000000000", version=1,
        verdict=correlation_pb2.VERDICT_CAUSE_NAMED,
        hypotheses=[correlation_pb2.Hypothesis(service="db", statement="slow", impacted_services=["cart"])],
    )  # fmt: skip


def test_a_group_is_read_with_its_alerts() -> None:
    read = decode_group(event(group()))
    assert (read.tenant, read.key, read.flush) == ("t", "k", Flush.NEW_ALERTS)
    (alert,) = read.alerts
    assert (alert.severity, alert.summary, alert.firing) == (Severity.MAJOR, "p95 is 3 s", True)
    assert alert.starts_at == NOW - timedelta(minutes=1)


@pytest.mark.parametrize("number", [alert_pb2.SEVERITY_UNSPECIFIED, 99])
def test_an_alert_that_does_not_say_how_bad_it_is_counts_as_a_warning(number: int) -> None:
    message = group()
    message.alerts[0].severity = number  # type: ignore[assignment]
    assert decode_group(event(message)).alerts[0].severity is Severity.MAJOR


@pytest.mark.parametrize(
    "stamp", [None, Timestamp(seconds=2**61), Timestamp(seconds=5, nanos=-7), Timestamp(seconds=-62135596800)]
)
def test_an_alert_without_a_usable_start_began_when_the_event_was_made(stamp: Timestamp | None) -> None:
    message = group()
    message.alerts[0].ClearField("starts_at")
    if stamp is not None:
        message.alerts[0].starts_at.CopyFrom(stamp)
    assert decode_group(event(message)).alerts[0].starts_at == NOW


@pytest.mark.parametrize(("seconds", "expected"), [(600, 0), (-400 * 86_400, -180 * 86_400), (-60, -60)])
def test_a_start_that_cannot_be_is_bounded(seconds: float, expected: float) -> None:
    message = group()
    message.alerts[0].starts_at.CopyFrom(started(seconds))
    assert decode_group(event(message)).alerts[0].starts_at == NOW + timedelta(seconds=expected)


def test_what_postgres_cannot_keep_is_replaced() -> None:
    message = group()
    message.alerts[0].name = "a\x00b"
    assert decode_group(event(message)).alerts[0].name == "a\ufffdb"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda g: setattr(g, "tenant_id", "u"), "tenant_mismatch"),
        (lambda g: g.ClearField("group_key"), "missing_group_key"),
        (lambda g: g.ClearField("reason"), "unknown_flush_reason"),
        (lambda g: setattr(g, "reason", 77), "unknown_flush_reason"),
        (lambda g: g.ClearField("alerts"), "status_mismatch"),
        (lambda g: g.ClearField("status"), "status_mismatch"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused(spoil: Callable[[Any], None], reason: str) -> None:
    message = group()
    spoil(message)
    with pytest.raises(InvalidInput) as refused:
        decode_group(event(message))
    assert refused.value.reason == reason


def test_an_analysis_is_read_by_its_first_hypothesis() -> None:
    read = decode_analysis(event(analysis()))
    assert (read.conclusion.service, read.statement, list(read.impacted)) == ("db", "slow", ["cart"])
    assert read.cause_named


def test_an_analysis_brings_what_incidents_are_compared_by() -> None:
    message = analysis()
    message.verdict = correlation_pb2.VERDICT_NOT_ENOUGH_EVIDENCE
    for signature in ("timeout <*>", "", "timeout <*>"):
        message.hypotheses[0].evidence.add(kind=correlation_pb2.EVIDENCE_KIND_LOG_SIGNATURE, signature=signature)
    message.hypotheses[0].evidence.add(kind=correlation_pb2.EVIDENCE_KIND_DEPLOY)
    read = decode_analysis(event(message))
    assert (list(read.evidence_kinds), list(read.signatures)) == (["deploy", "log signature"], ["timeout <*>"])


def test_an_analysis_without_a_cause_says_why() -> None:
    message = analysis()
    message.verdict = correlation_pb2.VERDICT_NOT_ENOUGH_EVIDENCE
    message.reason = "all quiet"
    read = decode_analysis(event(message))
    assert (read.cause_named, read.statement, list(read.impacted)) == (False, "all quiet", [])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda a: setattr(a, "tenant_id", "u"), "tenant_mismatch"),
        (lambda a: setattr(a, "incident_id", "42"), "bad_incident_id"),
        (lambda a: a.ClearField("version"), "bad_version"),
        (lambda a: a.ClearField("verdict"), "unknown_verdict"),
        (lambda a: a.ClearField("hypotheses"), "no_cause"),
        (lambda a: a.hypotheses[0].ClearField("service"), "no_cause"),
        (lambda a: setattr(a.hypotheses[0], "confidence", 1.5), "bad_confidence"),
        (lambda a: setattr(a.hypotheses[0], "confidence", float("nan")), "bad_confidence"),
    ],
)
def test_an_analysis_that_makes_no_sense_is_refused(spoil: Callable[[Any], None], reason: str) -> None:
    message = analysis()
    spoil(message)
    with pytest.raises(InvalidInput) as refused:
        decode_analysis(event(message))
    assert refused.value.reason == reason


def test_an_event_of_another_type_is_refused() -> None:
    for decode, data in ((decode_group, analysis()), (decode_analysis, group())):
        with pytest.raises(InvalidInput, match="expected a"):
            decode(event(data))
