"""Puts the metric consumer together."""

from __future__ import annotations

from libs.otlp.columnar_metrics import decode_metrics
from libs.otlp.metrics import TABLE
from libs.otlp.reference import decode_metrics as reference
from libs.runtime.ingest import Ingest, start_ingest
from libs.runtime.lifecycle import Lifecycle
from services.metric_consumer.settings import Settings

SERVICE = "metric_consumer"


def ingest(settings: Settings) -> Ingest:
    """Return what this consumer moves."""
    return Ingest(SERVICE, settings.otel_metrics_topic, TABLE, decode_metrics, reference)


async def start(lifecycle: Lifecycle, settings: Settings) -> None:
    """Start moving metric points."""
    await start_ingest(lifecycle, settings, ingest(settings))
