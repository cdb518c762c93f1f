"""Analyses onto Kafka."""

from __future__ import annotations

import asyncio
from datetime import UTC

from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from libs.kernel.ids import stable_id
from libs.messaging import cloudevents
from libs.messaging.ports import Producer
from libs.messaging.topics import CORRELATION_HYPOTHESES

SOURCE = "/incidentscope/correlation_engine"


class KafkaPublisher:
    """Implements ports.Publisher. The event's id depends on incident, version and time, so a re-send is recognised."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def publish(self, analysis: HypothesesPublished) -> None:
        """Write an analysis and return once it is acknowledged; raises Unavailable."""
        moment = analysis.analysed_at.ToJsonString()
        event = cloudevents.CloudEvent(
            id=stable_id(analysis.tenant_id, analysis.incident_id, str(analysis.version), moment),
            source=SOURCE,
            time=analysis.analysed_at.ToDatetime(tzinfo=UTC),
            subject=analysis.incident_id,
            tenant=analysis.tenant_id,
            data=analysis,
        )
        record = cloudevents.record(CORRELATION_HYPOTHESES, analysis.incident_id, event)
        await asyncio.to_thread(self._producer.send, [record])
