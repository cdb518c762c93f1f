"""Puts the trace consumer together."""

from __future__ import annotations

from libs.otlp.spans import TABLE
from libs.otlp.reference import decode_spans
from libs.runtime.ingest import Ingest, start_ingest
from libs.runtime.lifecycle import Lifecycle
from services.trace_consumer.settings import Settings

SERVICE = "trace_consumer"


async def start(lifecycle: Lifecycle) -> None:
    """Start moving spans."""
    settings = lifecycle.settings
    assert isinstance(settings, Settings)
    await start_ingest(lifecycle, settings, Ingest(SERVICE, settings.otel_traces_topic, TABLE, decode_spans))
