"""Events from Kafka as domain values, handed to the use cases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2
from incidentscope.correlation.v1 import correlation_events_pb2, correlation_pb2

from libs.kernel import starts
from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush
from services.incident_service.domain.analysis import Analysis, Conclusion
from services.incident_service.domain.model import Severity
from services.incident_service.handlers.events import Events

_SEVERITIES = {
    alert_pb2.SEVERITY_UNSPECIFIED: Severity.MAJOR,  # nobody has said that it is less
    alert_pb2.SEVERITY_INFO: Severity.MINOR,
    alert_pb2.SEVERITY_WARNING: Severity.MAJOR,
    alert_pb2.SEVERITY_CRITICAL: Severity.CRITICAL,
}
_FLUSHES = {
    alert_events_pb2.FLUSH_REASON_FIRST_NOTIFICATION: Flush.FIRST_NOTIFICATION,
    alert_events_pb2.FLUSH_REASON_NEW_ALERTS: Flush.NEW_ALERTS,
    alert_events_pb2.FLUSH_REASON_NEW_RESOLVED: Flush.NEW_RESOLVED,
    alert_events_pb2.FLUSH_REASON_ALL_RESOLVED: Flush.ALL_RESOLVED,
    alert_events_pb2.FLUSH_REASON_REPEAT_INTERVAL: Flush.REPEAT_INTERVAL,
    alert_events_pb2.FLUSH_REASON_DATA_CHANGED: Flush.DATA_CHANGED,
}
SIGNATURE_CHARS = 500
SUMMARIES = ("summary", "description", "message")  # annotations that say it in a sentence, best first


class Subscriber:
    """Handlers of the two topics; each raises InvalidInput for what belongs in the dead-letter topic."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def on_alert_group(self, event: CloudEvent) -> None:
        """Apply an AlertGroupNotified."""
        await self._events.on_alert_group(event.id, decode_group(event))

    async def on_hypotheses(self, event: CloudEvent) -> None:
        """Apply a HypothesesPublished."""
        found = decode_analysis(event)
        await self._events.on_analysis(event.id, event.tenant, found, event.data.SerializeToString())


def decode_group(event: CloudEvent) -> AlertGroup:
    """Return the group of an AlertGroupNotified; raises InvalidInput naming what is wrong."""
    data = event.data
    if not isinstance(data, alert_events_pb2.AlertGroupNotified):
        raise InvalidInput("unexpected_type", f"expected an AlertGroupNotified, not a {event.type}")
    _require_same_tenant(event, data.tenant_id)
    if not data.group_key:
        raise InvalidInput("missing_group_key", "the group has no key")
    if data.reason not in _FLUSHES:
        raise InvalidInput("unknown_flush_reason", f"the group has flush reason {data.reason}")
    group = AlertGroup(
        tenant=event.tenant,
        key=_clean(data.group_key),
        labels={name: _clean(value) for name, value in data.group_labels.items()},
        flush=_FLUSHES[data.reason],
        alerts=[_alert(a, event.time) for a in data.alerts],
        receiver=_clean(data.receiver),
    )
    if bool(group.firing) != (data.status == alert_pb2.ALERT_STATUS_FIRING):
        raise InvalidInput("status_mismatch", f"the group says {data.status}, {len(group.firing)} of its alerts fire")
    return group


def decode_analysis(event: CloudEvent) -> Analysis:
    """Return what a HypothesesPublished concludes; raises InvalidInput naming what is wrong."""
    data = event.data
    if not isinstance(data, correlation_events_pb2.HypothesesPublished):
        raise InvalidInput("unexpected_type", f"expected a HypothesesPublished, not a {event.type}")
    _require_same_tenant(event, data.tenant_id)
    if data.version < 1:
        raise InvalidInput("bad_version", f"an analysis is numbered from 1, not {data.version}")
    named = data.verdict == correlation_pb2.VERDICT_CAUSE_NAMED
    if not named and data.verdict != correlation_pb2.VERDICT_NOT_ENOUGH_EVIDENCE:
        raise InvalidInput("unknown_verdict", f"the analysis has verdict {data.verdict}")
    if named and not (data.hypotheses and data.hypotheses[0].service):
        raise InvalidInput("no_cause", "the verdict names a cause, but the first hypothesis names no service")
    leading = data.hypotheses[0] if data.hypotheses else correlation_pb2.Hypothesis()
    first = leading if named else correlation_pb2.Hypothesis()
    return Analysis(
        incident_id=_uuid(data.incident_id),
        version=data.version,
        conclusion=Conclusion(_clean(first.service), _cause_kind(first.cause_kind) if named else ""),
        statement=_clean(first.statement if named else data.reason),
        confidence=_confidence(first.confidence),
        impacted=[_clean(name) for name in first.impacted_services],
        analysed_at=_instant(data.analysed_at, event.time),
        evidence_kinds=_kinds(leading),
        signatures=list(dict.fromkeys(_clean(e.signature)[:SIGNATURE_CHARS] for e in leading.evidence if e.signature)),
    )


def _alert(alert: alert_pb2.Alert, received: datetime) -> Alert:
    summary = next((alert.annotations[name] for name in SUMMARIES if alert.annotations.get(name)), "")
    return Alert(
        fingerprint=_clean(alert.fingerprint),
        name=_clean(alert.name),
        service=_clean(alert.service),
        severity=_SEVERITIES.get(alert.severity, Severity.MAJOR),
        firing=alert.status == alert_pb2.ALERT_STATUS_FIRING,
        starts_at=starts.began(_instant(alert.starts_at, received), received),
        summary=_clean(summary),
        url=_clean(alert.generator_url),
        no_data_since=_no_data_since(alert, received),
        ends_at=_instant(alert.ends_at, received),
        labels=_texts(alert.labels),
        annotations=_texts(alert.annotations),
    )


def _texts(pairs: Mapping[str, str]) -> dict[str, str]:
    return {_clean(name): _clean(text) for name, text in pairs.items()}


def _no_data_since(alert: alert_pb2.Alert, received: datetime) -> datetime | None:
    silent = alert.status == alert_pb2.ALERT_STATUS_NO_DATA
    return _instant(alert.no_data_since, received) if silent else None


def _require_same_tenant(event: CloudEvent, named: str) -> None:
    if named != event.tenant:
        raise InvalidInput("tenant_mismatch", f"the header says tenant {event.tenant!r}, the message {named!r}")


def _cause_kind(number: int) -> str:
    known = correlation_pb2.CauseKind.DESCRIPTOR.values_by_number
    return str(known[number].name) if number in known else str(number)


def _confidence(value: float) -> float:
    if not -1e-6 <= value <= 1 + 1e-6:  # nor NaN
        raise InvalidInput("bad_confidence", f"a confidence runs from 0 to 1, not {value}")
    return min(1.0, max(0.0, value))


def _kinds(hypothesis: correlation_pb2.Hypothesis) -> list[str]:
    known = correlation_pb2.EvidenceKind.DESCRIPTOR.values_by_number
    named = (known[e.kind].name.removeprefix("EVIDENCE_KIND_") for e in hypothesis.evidence if e.kind in known)
    return sorted({name.replace("_", " ").lower() for name in named})


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as exc:
        raise InvalidInput("bad_incident_id", f"incident_id is not a UUID: {text[:80]!r}") from exc


def _instant(stamp: Timestamp, otherwise: datetime) -> datetime:
    """Return an instant, or the other one when it is unset, also as Go writes that, or outside of all calendars."""
    try:
        return stamp.ToDatetime(UTC) if stamp.seconds > 0 else otherwise
    except (ValueError, OverflowError):
        return otherwise


def _clean(text: str) -> str:
    """Replace the one character Postgres cannot keep."""
    return text.replace("\x00", "\ufffd")
