"""Runs the retention of telemetry beside a consumer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog
from prometheus_client import Counter

from libs.runtime.rounds import attempt
from libs.storage.retention import Retention

FIRST_SECONDS = 60.0  # a start has better things to do
log = structlog.get_logger()


async def run_retention(retention: Retention, service: str, every_s: float) -> None:
    """Apply the retention for ever; a database that is down or not yet set up is tried again next time."""
    days = Counter(f"incidentscope_{service}_retention_days_removed_total", "Days removed from a table", ["table"])
    failed = Counter(f"incidentscope_{service}_retention_failures_total", "Runs of the retention job that failed")
    await asyncio.sleep(min(FIRST_SECONDS, every_s))

    async def apply() -> None:
        removed = await asyncio.to_thread(retention.apply, datetime.now(UTC).date())
        for table, count in removed.items():
            days.labels(table).inc(count)
        if any(removed.values()):
            log.info("retention_applied", removed={table: count for table, count in removed.items() if count})

    while True:
        if await attempt("retention", apply):
            failed.inc()
        await asyncio.sleep(every_s)
