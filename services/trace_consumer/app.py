"""Puts the trace consumer together."""

from __future__ import annotations

import asyncio

from prometheus_client import Counter, Gauge, Histogram

from libs.otlp.columnar_spans import decode_spans
from libs.otlp.reference import decode_spans as reference
from libs.otlp.spans import TABLE
from libs.runtime.ingest import Ingest, start_ingest
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.rounds import attempt
from services.trace_consumer.adapters.clickhouse_edges import ClickHouseEdges
from services.trace_consumer.handlers import EdgeJob
from services.trace_consumer.settings import Settings

SERVICE = "trace_consumer"


def ingest(settings: Settings) -> Ingest:
    """Return what this consumer moves."""
    return Ingest(SERVICE, settings.otel_traces_topic, TABLE, decode_spans, reference)


async def start(lifecycle: Lifecycle, settings: Settings) -> None:
    """Start moving spans and deriving edges."""
    clickhouse = await start_ingest(lifecycle, settings, ingest(settings))
    job = EdgeJob(ClickHouseEdges(clickhouse))
    lifecycle.background("edges", lambda: run_edges(job, settings.edge_seconds))


async def run_edges(job: EdgeJob, every_s: float) -> None:
    """Run the edge job for ever; a store that is down or not yet set up is tried again next time."""
    seconds = Histogram("incidentscope_trace_consumer_edge_run_seconds", "Time of one run of the edge job")
    written = Counter("incidentscope_trace_consumer_edge_rows_total", "Edge rows written")
    waiting = Gauge("incidentscope_trace_consumer_edge_minutes_waiting", "Minutes left for later runs of the edge job")
    failed = Counter("incidentscope_trace_consumer_edge_failures_total", "Runs of the edge job that failed")

    async def run() -> None:
        with seconds.time():
            outcome = await asyncio.to_thread(job.run_once)
        written.inc(outcome.rows_written)
        waiting.set(outcome.waiting)
        failed.inc(outcome.refused)

    while True:
        if await attempt("edges", run):
            failed.inc()
        await asyncio.sleep(every_s)
