"""What the router does by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog
from prometheus_client import Counter

from libs.kernel.clock import Clock
from libs.kernel.errors import IncidentScopeError, Unavailable
from services.alert_router.domain.listening import Listening
from services.alert_router.handlers import FlushGroups

log = structlog.get_logger()
TICK_SECONDS = 0.5
BACKOFF_SECONDS = 5.0
FORGET_SECONDS = 60.0
FAILURES = Counter("incidentscope_alert_router_tick_failures_total", "Ticks that failed, by tenant", ["tenant"])


class FlushTimer:
    """Flushes due groups twice a second, and forgets once a minute. A tenant that fails does not stop the others."""

    def __init__(
        self,
        flush: FlushGroups,
        tenants: Callable[[], Iterable[str]],
        start_delay_seconds: float,
        listening: Listening,
        clock: Clock,
    ) -> None:
        self._flush = flush
        self._listening = listening
        self._clock = clock
        self._tenants = tenants
        self._start_delay = start_delay_seconds
        self._problems: dict[str, str] = {}
        self._forget_at: dict[str, float] = {}
        self._retry_at: dict[str, float] = {}

    def problem(self) -> str | None:
        """Return None when groups are flushed, else what is in the way; a readiness check."""
        return next(iter(self._problems.values()), None)

    async def run(self) -> None:
        """Tick for ever, after a delay in which alerts sent while this process was down are caught up with."""
        await asyncio.sleep(self._start_delay)
        while True:
            await self.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def tick(self) -> None:
        """Look at every tenant once, at one that failed only after a while."""
        self._listening.looked(self._clock.now())
        tenants = list(self._tenants())
        self._problems = {tenant: why for tenant, why in self._problems.items() if tenant in tenants}
        for tenant in tenants:
            if time.monotonic() < self._retry_at.get(tenant, 0.0):
                continue
            try:
                await self._flush(tenant)
                await self._forget(tenant)
                self._problems.pop(tenant, None)
            except Exception as exc:
                self._retry_at[tenant] = time.monotonic() + BACKOFF_SECONDS
                FAILURES.labels(tenant).inc()
                if isinstance(exc, Unavailable):  # the database of all tenants
                    self._listening.interrupted(self._clock.now())
                self._problems[tenant] = f"groups of {tenant} are not flushed: {exc}"
                expected = isinstance(exc, IncidentScopeError)
                log.warning("tick_failed", tenant=tenant, error=repr(exc), exc_info=None if expected else exc)

    async def _forget(self, tenant: str) -> None:
        now = time.monotonic()
        if now >= self._forget_at.setdefault(tenant, now + FORGET_SECONDS):
            self._forget_at[tenant] = now + FORGET_SECONDS
            await self._flush.forget(tenant)
