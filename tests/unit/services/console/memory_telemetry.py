"""Rollups of a shop in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from libs.kernel.errors import Unavailable
from libs.kernel.timewindow import TimeWindow, floor_minute
from services.console.domain.models import Edge, GaugeMinute, LogSignature, MinuteHealth, ServiceSummary
from tests.unit.services.console.memory_services import TENANT

CALLS = (
    ("web", "frontend", 900), ("mobile", "frontend", 600), ("frontend", "catalog", 800), ("frontend", "cart", 500),
    ("frontend", "checkout", 220), ("frontend", "recommendations", 400), ("recommendations", "catalog", 380),
    ("checkout", "cart", 220), ("checkout", "payments", 210), ("checkout", "shipping", 190),
    ("checkout", "inventory", 215),
    ("payments", "payments-db", 420), ("payments", "fraud", 210), ("catalog", "catalog-db", 1200),
    ("cart", "redis", 1000),
    ("inventory", "inventory-db", 430), ("shipping", "quotes", 190), ("orders", "inventory", 60),
    ("checkout", "orders", 205),
)  # fmt: skip
VIRTUAL = {"payments-db", "catalog-db", "redis", "inventory-db"}
FAILING = {"payments": 0.31, "checkout": 0.28, "frontend": 0.042, "web": 0.04}
SLOW = ("payments", "fraud")  # from 7 to 944 ms at onset
NOISY = ("recommendations", "catalog")  # 2 % fail, at all times
NEW, GONE = ("orders", "inventory"), ("shipping", "quotes")  # called only since onset, only before it


class MemoryTelemetry:
    """Rollups of the shop: steady until `onset`, then payments fails and its callers with it."""

    def __init__(self, onset: datetime, now: datetime) -> None:
        self.onset, self.now = onset, now
        self.down = False
        self.empty = False

    def _check(self) -> None:
        if self.down:
            raise Unavailable("ClickHouse does not answer.")

    def _minutes(self, service: str, window: TimeWindow, by_callers: bool) -> list[MinuteHealth]:
        at, found = floor_minute(window.start), []
        base = 12 + 9 * (len(service) % 7)
        while at < min(window.end, self.now):
            n = int(at.timestamp()) // 60
            wobble = 1 + 0.12 * math.sin(n * 1.7 + len(service)) + 0.06 * math.sin(n * 0.37)
            since = (at - self.onset) / timedelta(minutes=1)
            hurt = FAILING.get(service, 0.0) * min(max(since + 1, 0) / 3, 1)
            slow = 1 + 60 * hurt * (service == "payments") + 22 * hurt * (service != "payments")
            calls = int(220 * wobble)
            noise = 1 if n % 11 == 0 else 0
            found.append(MinuteHealth(service, at, calls, int(calls * hurt) + noise, base * wobble * slow, by_callers))
            at += timedelta(minutes=1)
        return found

    async def health(self, tenant: str, services: Sequence[str], window: TimeWindow) -> list[MinuteHealth]:
        """Return the minutes of instrumented services."""
        self._check()
        own = [s for s in services if s not in VIRTUAL and tenant == TENANT and not self.empty and _exists(s)]
        return [m for s in own for m in self._minutes(s, window, False)]

    async def health_seen_by_callers(
        self, tenant: str, services: Sequence[str], window: TimeWindow
    ) -> list[MinuteHealth]:
        """Return the minutes of databases."""
        self._check()
        known = [s for s in services if s in VIRTUAL and tenant == TENANT and not self.empty]
        return [m for s in known for m in self._minutes(s, window, True)]

    async def edges(self, tenant: str, window: TimeWindow) -> list[Edge]:
        """Return who calls whom."""
        self._check()
        if self.empty or tenant != TENANT:
            return []
        minutes = max((min(window.end, self.now) - window.start) // timedelta(minutes=1), 1)
        hurt = max((window.end - max(window.start, self.onset)) / window.duration, 0)
        absent = {NEW} if not hurt else {GONE} if hurt == 1 else set()
        return [self._edge(a, b, n, minutes, hurt) for a, b, n in CALLS if (a, b) not in absent]

    @staticmethod
    def _edge(a: str, b: str, per_minute: int, minutes: int, hurt: float) -> Edge:
        calls = per_minute * minutes
        failing = hurt if b in FAILING and a in FAILING | {"mobile": 0.04} else 0.0
        errors = int(calls * (FAILING.get(b, 0.0) * failing + 0.02 * ((a, b) == NOISY)))
        mean = 7 + 937 * hurt if (a, b) == SLOW else 9.5 + 230 * failing
        kind = "database" if b in VIRTUAL else "http"
        return Edge(a, b, kind, b not in VIRTUAL, calls, errors, mean, minutes)

    async def signatures(self, tenant: str, service: str, window: TimeWindow, limit: int) -> list[LogSignature]:
        """Return log shapes."""
        self._check()
        if self.empty or tenant != TENANT or not _exists(service):
            return []
        at = self.onset
        return [
            LogSignature(
                17, "NullPointerException: card token of <*> is null", "card token of 4711 is null", 8, at, at
            ),
            LogSignature(13, "retrying charge <*> after <*> ms", "retrying charge 12 after 200 ms", 2310, at, at),
            LogSignature(9, "charged <*> in <*> ms", "charged 12 in 31 ms", 48211, window.start, window.start),
        ][:limit]

    async def gauges(self, tenant: str, service: str, window: TimeWindow) -> list[GaugeMinute]:
        """Return CPU and memory of those that send telemetry."""
        self._check()
        if self.empty or tenant != TENANT or service in VIRTUAL or not _exists(service):
            return []
        at = floor_minute(window.start)
        found = []
        while at < min(window.end, self.now):
            wave = 0.04 * math.sin(at.timestamp() / 300)
            found.append(GaugeMinute("container.cpu.utilization", "1", at, 0.42 + wave))
            found.append(GaugeMinute("container.memory.usage", "By", at, 3.1e8 * (1 + wave)))
            at += timedelta(minutes=1)
        return found

    async def services(self, tenant: str, window: TimeWindow) -> list[ServiceSummary]:
        """Return the shop's services."""
        self._check()
        if self.empty or tenant != TENANT:
            return []
        names = sorted({n for a, b, _ in CALLS for n in (a, b)} - VIRTUAL)
        minutes = {n: self._minutes(n, window, False) for n in names}
        return [
            ServiceSummary(n, sum(m.calls for m in ms), sum(m.errors for m in ms), ms[-1].latency_ms, ms[-1].minute)
            for n, ms in minutes.items()
        ]


def _exists(service: str) -> bool:
    return any(service in (a, b) for a, b, _ in CALLS)
