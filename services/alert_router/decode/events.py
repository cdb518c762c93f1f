"""Alerts as protobuf messages, and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent
from services.alert_router.domain.alert import Alert, State
from services.alert_router.domain.arrival import believed, check, check_texts
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.dedup import Decision
from services.alert_router.domain.flush import Flush
from services.alert_router.domain.naming import Naming
from services.alert_router.domain.route import Group
from services.alert_router.domain.severity import Severity

MAX_NOTIFICATION_BYTES = 4 * 1024 * 1024  # leaves room below the broker's limit
SEVERITIES = {
    Severity.UNSPECIFIED: alert_pb2.SEVERITY_UNSPECIFIED,
    Severity.MINOR: alert_pb2.SEVERITY_INFO,
    Severity.WARNING: alert_pb2.SEVERITY_WARNING,
    Severity.CRITICAL: alert_pb2.SEVERITY_CRITICAL,
}
REASONS = {
    Decision.FIRST_NOTIFICATION: alert_events_pb2.FLUSH_REASON_FIRST_NOTIFICATION,
    Decision.NEW_ALERTS: alert_events_pb2.FLUSH_REASON_NEW_ALERTS,
    Decision.NEW_RESOLVED: alert_events_pb2.FLUSH_REASON_NEW_RESOLVED,
    Decision.ALL_RESOLVED: alert_events_pb2.FLUSH_REASON_ALL_RESOLVED,
    Decision.REPEAT_INTERVAL: alert_events_pb2.FLUSH_REASON_REPEAT_INTERVAL,
    Decision.DATA_CHANGED: alert_events_pb2.FLUSH_REASON_DATA_CHANGED,
}
STATUSES = {
    State.FIRING: alert_pb2.ALERT_STATUS_FIRING,
    State.RESOLVED: alert_pb2.ALERT_STATUS_RESOLVED,
    State.NO_DATA: alert_pb2.ALERT_STATUS_NO_DATA,
}


def to_message(alert: Alert, tenant: str, now: datetime, conventions: Conventions) -> alert_pb2.Alert:
    """Return the message of an alert as it stands at an instant; nobody knows what a heartbeat that stopped hides."""
    state = alert.state(now)
    severity = Severity.CRITICAL if alert.missed else conventions.severity(tenant, alert.labels)
    return alert_pb2.Alert(
        fingerprint=alert.fingerprint,
        tenant_id=tenant,
        status=STATUSES[state],
        name=alert.name,
        service=alert.service,
        severity=SEVERITIES[severity],
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=timestamp(alert.starts_at),
        ends_at=timestamp(alert.ends_at),
        generator_url=alert.generator_url,
        source=alert.source,
        ends_at_is_timeout=alert.timeout,
        no_data_since=timestamp(alert.silent_since(now)) if state is State.NO_DATA else None,
    )


def status(alerts: Sequence[Alert], now: datetime) -> alert_pb2.AlertStatus.ValueType:
    """Return the status of a group: firing before no data before resolved."""
    states = {alert.state(now) for alert in alerts}
    return STATUSES[next((s for s in (State.FIRING, State.NO_DATA) if s in states), State.RESOLVED)]


def from_event(event: CloudEvent, naming: Naming) -> Alert:
    """Return the alert an event brought, received when the event says; raises InvalidInput."""
    if not isinstance(event.data, alert_events_pb2.AlertReceived):
        raise InvalidInput("unexpected_type", f"not an AlertReceived: {event.type}")
    message = event.data.alert
    if message.tenant_id not in {"", event.tenant}:
        raise InvalidInput("tenant_mismatch", f"the alert is of {message.tenant_id!r}, the event of {event.tenant!r}")
    labels, annotations = dict(message.labels), dict(message.annotations)
    check_texts(labels, annotations, message.generator_url)
    alert = Alert(
        labels=labels,
        annotations=annotations,
        starts_at=_instant(message, "starts_at"),
        ends_at=_instant(message, "ends_at"),
        updated_at=event.time,
        timeout=message.ends_at_is_timeout,
        generator_url=message.generator_url,
        source=message.source,
        service=message.service or naming.service_of(labels),
        no_data_since=_instant(message, "no_data_since") if message.HasField("no_data_since") else None,
    )
    check(alert)
    return believed(alert, event.time)


def _instant(message: Message, name: str) -> datetime:
    if not message.HasField(name):
        raise InvalidInput("bad_time", f"{name} is not set")
    try:
        return getattr(message, name).ToDatetime(tzinfo=UTC)  # type: ignore[no-any-return]
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("bad_time", f"{name} is not a time: {exc}") from exc


def timestamp(instant: datetime) -> Timestamp:
    """Return the message of an instant, to the microsecond."""
    micros = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)


def notified(
    group: Group, flush: Flush, tenant: str, receiver: str, now: datetime, conventions: Conventions
) -> alert_events_pb2.AlertGroupNotified:
    """Return the message of a flush that is told; alerts beyond what one message holds are counted, not listed."""
    listed, room = [], MAX_NOTIFICATION_BYTES
    for alert in flush.alerts:
        message = to_message(alert, tenant, now, conventions)
        room -= message.ByteSize() + 8
        if room < 0:
            break
        listed.append(message)
    return alert_events_pb2.AlertGroupNotified(
        tenant_id=tenant,
        group_key=group.key,
        group_labels=group.labels,
        status=status(flush.alerts, now),
        alerts=listed,
        reason=REASONS[flush.decision],
        flushed_at=timestamp(now),
        receiver=receiver,
        truncated_alerts=len(flush.alerts) - len(listed),
    )
