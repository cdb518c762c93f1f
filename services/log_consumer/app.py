"""Puts the log consumer together."""

from __future__ import annotations

from libs.otlp.columnar_logs import decode_logs
from libs.otlp.logs import TABLE
from libs.otlp.reference import decode_logs as reference
from libs.runtime.ingest import Ingest, start_ingest
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.retention import run_retention
from libs.storage.retention import Retention
from services.log_consumer.settings import Settings

SERVICE = "log_consumer"


def ingest(settings: Settings) -> Ingest:
    """Return what this consumer moves."""
    return Ingest(SERVICE, settings.otel_logs_topic, TABLE, decode_logs, reference)


async def start(lifecycle: Lifecycle, settings: Settings) -> None:
    """Start moving log records, and the retention of all telemetry."""
    clickhouse = await start_ingest(lifecycle, settings, ingest(settings))
    retention = Retention(clickhouse)
    lifecycle.background("retention", lambda: run_retention(retention, SERVICE, settings.retention_seconds))
