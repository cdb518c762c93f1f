"""Received alerts on Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from incidentscope.alert.v1 import alert_events_pb2

from libs.kernel.ids import uuid7
from libs.messaging import topics
from libs.messaging.cloudevents import CloudEvent, record
from libs.messaging.ports import OutgoingRecord, Producer
from services.alert_router.decode.events import to_message
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.conventions import Conventions
from services.alert_router.handlers import SOURCE


class KafkaAlertPublisher:
    """Puts received alerts on `alerts.events`, keyed by fingerprint so that versions of one alert stay in order."""

    def __init__(self, producer: Producer, conventions: Conventions) -> None:
        self._producer = producer
        self._conventions = conventions

    async def publish(self, tenant: str, alerts: Sequence[Alert], now: datetime) -> None:
        """Return once the broker has acknowledged every alert; raises DeliveryFailed."""
        await asyncio.to_thread(self._producer.send, [self._record(tenant, alert, now) for alert in alerts])

    def _record(self, tenant: str, alert: Alert, now: datetime) -> OutgoingRecord:
        data = alert_events_pb2.AlertReceived(alert=to_message(alert, tenant, now, self._conventions))
        event = CloudEvent(uuid7(now), SOURCE, now, alert.fingerprint, tenant, data)
        return record(topics.ALERTS_EVENTS, alert.fingerprint, event)
