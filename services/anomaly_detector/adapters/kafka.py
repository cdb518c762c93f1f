"""Anomalies on `anomalies.events`, alerts on `alerts.events`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2
from incidentscope.anomaly.v1 import anomaly_events_pb2, anomaly_pb2

from libs.kernel.errors import InvalidInput
from libs.kernel.ids import stable_id, uuid7
from libs.kernel.labels import fingerprint
from libs.messaging import topics
from libs.messaging.cloudevents import CloudEvent, decode, record
from libs.messaging.ports import OutgoingRecord, Producer, Record
from services.anomaly_detector.domain.alerts import SOURCE, ServiceAlert
from services.anomaly_detector.domain.anomalies import Anomaly
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.domain.evaluation import Evaluation, Reason
from services.anomaly_detector.domain.rules import Kind, Rule
from services.anomaly_detector.domain.track import Action

log = structlog.get_logger()
EVENT_SOURCE = "/services/anomaly_detector"
UNITS = {Kind.ERROR_RATIO: "1", Kind.LATENCY_P95: "ms", Kind.TRAFFIC_DROP: "/min"}  # UCUM
ENDINGS = {
    Action.RESOLVE: anomaly_events_pb2.ANOMALY_ENDING_RECOVERED,
    Action.RESOLVE_NEW_USUAL: anomaly_events_pb2.ANOMALY_ENDING_NEW_USUAL,
}
REASONS = {reason.value: reason for reason in Reason}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KafkaAnnouncer:
    """Puts anomalies on `anomalies.events` and alerts on `alerts.events`, both keyed by the alert's fingerprint."""

    def __init__(self, producer: Producer, told: Callable[[], Iterable[Record]]) -> None:
        """`told` reads `anomalies.events` from its beginning to its present end."""
        self._producer = producer
        self._told = told

    async def send(self, anomalies: Sequence[Anomaly], alerts: Sequence[ServiceAlert], now: datetime) -> None:
        """Return once the broker has acknowledged everything; raises DeliveryFailed."""
        records = [*(_anomaly_record(a, now) for a in anomalies), *(_alert_record(a, now) for a in alerts)]
        await asyncio.to_thread(self._producer.send, records)

    async def unfinished(self, rules: Mapping[str, Rule]) -> Sequence[Anomaly]:
        """Return the anomalies told to have begun and not to have ended; raises Unavailable."""
        return await asyncio.to_thread(self._unfinished, rules)

    def _unfinished(self, rules: Mapping[str, Rule]) -> list[Anomaly]:
        begun: dict[tuple[str, str], anomaly_pb2.Anomaly] = {}
        silent: dict[str, datetime] = {}
        for message in self._told():
            data = _decoded(message)
            if isinstance(data, anomaly_events_pb2.AnomalyDetected):
                begun[(data.anomaly.tenant_id, data.anomaly.alert_fingerprint)] = data.anomaly
            elif isinstance(data, anomaly_events_pb2.AnomalyEnded):
                begun.pop((data.anomaly.tenant_id, data.anomaly.alert_fingerprint), None)
            elif isinstance(data, anomaly_events_pb2.AnomalyNoData):
                silent[data.anomaly.id] = data.since.ToDatetime(tzinfo=UTC)
        return [
            replace(_read(found, rules[found.rule]), no_data_since=silent.get(found.id))
            for found in begun.values()
            if found.rule in rules
        ]


def _decoded(message: Record) -> Message | None:
    """Return what a message holds, None when another program wrote something else there: that must not stop rounds."""
    try:
        return decode(message.headers, message.value).data
    except InvalidInput as exc:
        log.warning("anomaly_unreadable", partition=message.partition, offset=message.offset, error=str(exc))
        return None


def _read(message: anomaly_pb2.Anomaly, rule: Rule) -> Anomaly:
    seen = Evaluation(
        reason=REASONS.get(message.reason, Reason.ABOVE_USUAL),
        window_minutes=message.window_minutes,
        traffic=Traffic(message.requests, message.errors, message.observed if rule.kind is Kind.LATENCY_P95 else 0.0),
        value=message.observed,
        limit=message.limit,
        usual=message.usual if message.HasField("usual") else None,
    )
    return Anomaly(message.tenant_id, message.service, rule, seen, message.starts_at.ToDatetime(tzinfo=UTC))


def _anomaly_record(anomaly: Anomaly, now: datetime) -> OutgoingRecord:
    data: anomaly_events_pb2.AnomalyDetected | anomaly_events_pb2.AnomalyEnded | anomaly_events_pb2.AnomalyNoData
    identity = [anomaly.id]
    if anomaly.ending is not None:
        data = anomaly_events_pb2.AnomalyEnded(anomaly=_anomaly(anomaly), ending=ENDINGS[anomaly.ending])
    elif anomaly.no_data_since is not None:
        data = anomaly_events_pb2.AnomalyNoData(anomaly=_anomaly(anomaly), since=_timestamp(anomaly.no_data_since))
        identity.append(anomaly.no_data_since.isoformat())
    else:
        data = anomaly_events_pb2.AnomalyDetected(anomaly=_anomaly(anomaly))
    event_id = stable_id(*identity, data.DESCRIPTOR.full_name)
    event = CloudEvent(event_id, EVENT_SOURCE, now, anomaly.service, anomaly.tenant, data)
    return record(topics.ANOMALIES_EVENTS, anomaly.fingerprint, event)


def _anomaly(anomaly: Anomaly) -> anomaly_pb2.Anomaly:
    rule, seen = anomaly.rule, anomaly.seen
    return anomaly_pb2.Anomaly(
        id=anomaly.id,
        tenant_id=anomaly.tenant,
        service=anomaly.service,
        kind=anomaly_pb2.AnomalyKind.Value(f"ANOMALY_KIND_{rule.kind.name}"),
        rule=rule.name,
        severity=alert_pb2.Severity.Value(f"SEVERITY_{rule.severity.upper()}"),
        unit=UNITS[rule.kind],
        observed=seen.value,
        limit=seen.limit,
        usual=seen.usual,
        window_minutes=seen.window_minutes,
        requests=seen.traffic.requests,
        errors=seen.traffic.errors,
        reason=seen.reason.value,
        starts_at=_timestamp(anomaly.starts_at),
        ends_at=_timestamp(anomaly.ends_at) if anomaly.ends_at else None,
        alert_fingerprint=anomaly.fingerprint,
    )


def _alert_record(alert: ServiceAlert, now: datetime) -> OutgoingRecord:
    identity = fingerprint(alert.labels)
    data = alert_events_pb2.AlertReceived(alert=_message(alert, identity))
    event = CloudEvent(uuid7(now), EVENT_SOURCE, now, identity, alert.tenant, data)
    return record(topics.ALERTS_EVENTS, identity, event)


def _message(alert: ServiceAlert, identity: str) -> alert_pb2.Alert:
    return alert_pb2.Alert(
        fingerprint=identity,
        tenant_id=alert.tenant,
        status=_status(alert),
        name=alert.labels["alertname"],
        service=alert.service,
        severity=alert_pb2.Severity.Value(f"SEVERITY_{alert.severity.upper()}"),
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=_timestamp(alert.starts_at),
        ends_at=_timestamp(alert.ends_at),
        generator_url=alert.generator_url,
        source=SOURCE,
        no_data_since=_timestamp(alert.no_data_since) if alert.no_data_since else None,
    )


def _status(alert: ServiceAlert) -> alert_pb2.AlertStatus.ValueType:
    if not alert.firing:
        return alert_pb2.ALERT_STATUS_RESOLVED
    return alert_pb2.ALERT_STATUS_NO_DATA if alert.no_data_since else alert_pb2.ALERT_STATUS_FIRING


def _timestamp(instant: datetime) -> Timestamp:
    micros = (instant - EPOCH) // timedelta(microseconds=1)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)
