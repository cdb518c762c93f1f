"""Alerts on `alerts.events`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_events_pb2, alert_pb2

from libs.kernel.ids import uuid7
from libs.kernel.labels import fingerprint
from libs.messaging import topics
from libs.messaging.cloudevents import CloudEvent, record
from libs.messaging.ports import OutgoingRecord, Producer
from services.anomaly_detector.domain.alerts import SOURCE, ServiceAlert

EVENT_SOURCE = "/services/anomaly_detector"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KafkaAlertSender:
    """Puts alerts on `alerts.events`, keyed by fingerprint."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, alerts: Sequence[ServiceAlert], now: datetime) -> None:
        """Return once the broker has acknowledged every alert; raises DeliveryFailed."""
        await asyncio.to_thread(self._producer.send, [_record(alert, now) for alert in alerts])


def _record(alert: ServiceAlert, now: datetime) -> OutgoingRecord:
    identity = fingerprint(alert.labels)
    data = alert_events_pb2.AlertReceived(alert=_message(alert, identity))
    event = CloudEvent(uuid7(now), EVENT_SOURCE, now, identity, alert.tenant, data)
    return record(topics.ALERTS_EVENTS, identity, event)


def _message(alert: ServiceAlert, identity: str) -> alert_pb2.Alert:
    return alert_pb2.Alert(
        fingerprint=identity,
        tenant_id=alert.tenant,
        status=alert_pb2.ALERT_STATUS_FIRING if alert.firing else alert_pb2.ALERT_STATUS_RESOLVED,
        name=alert.labels["alertname"],
        service=alert.service,
        severity=alert_pb2.Severity.Value(f"SEVERITY_{alert.severity.upper()}"),
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=_timestamp(alert.starts_at),
        ends_at=_timestamp(alert.ends_at),
        generator_url=alert.generator_url,
        source=SOURCE,
    )


def _timestamp(instant: datetime) -> Timestamp:
    micros = (instant - EPOCH) // timedelta(microseconds=1)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1000)
