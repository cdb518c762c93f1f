"""When the detector looks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from prometheus_client import Counter, Histogram

from libs.kernel.errors import IncidentScopeError
from services.anomaly_detector.handlers import DetectAnomalies

log = structlog.get_logger()
ROUND_SECONDS = Histogram("incidentscope_anomaly_detector_round_seconds", "Time one round takes")
FAILURES = Counter("incidentscope_anomaly_detector_failed_rounds_total", "Rounds that failed")


class DetectionTimer:
    """Starts a round every few seconds; one that takes longer delays the next, they never overlap."""

    def __init__(self, detect: DetectAnomalies, every: timedelta) -> None:
        self._detect = detect
        self._every = every.total_seconds()
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Return None when rounds succeed, else why the last did not; a readiness check."""
        return self._problem

    async def run(self) -> None:
        """Go on for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.round()
            due = max(due + self._every, loop.time())
            await asyncio.sleep(due - loop.time())

    async def round(self) -> None:
        """Do one round; a dependency that is down is reported, and met again in the next round."""
        try:
            with ROUND_SECONDS.time():
                await self._detect()
        except IncidentScopeError as exc:
            FAILURES.inc()
            self._problem = f"the last round failed: {exc}"
            log.warning("round_failed", error=str(exc))
        except Exception as exc:
            FAILURES.inc()
            self._problem = f"the last round failed: {exc!r}"
            log.error("round_failed", error=repr(exc), exc_info=exc)
        else:
            self._problem = None
