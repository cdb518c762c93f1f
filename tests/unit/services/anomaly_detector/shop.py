"""A service with seeded random traffic on a clock that is set by hand, and what the detector says of it."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from libs.kernel.clock import ManualClock
from libs.kernel.errors import Unavailable
from libs.messaging.ports import DeliveryFailed
from services.anomaly_detector.adapters.rules_file import load_rules
from services.anomaly_detector.domain.alerts import ServiceAlert
from services.anomaly_detector.domain.anomalies import Anomaly
from services.anomaly_detector.domain.baseline import Traffic, quantile
from services.anomaly_detector.domain.drop import Requests
from services.anomaly_detector.domain.rules import Rule, RuleSet
from services.anomaly_detector.handlers import DetectAnomalies
from services.anomaly_detector.ports import Target

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
CART = Target("default", "cart")


@dataclass(frozen=True)
class Behaviour:
    """Mean requests a second, and the chance of a request to fail; latency log-normal around a median, in ms."""

    rate: float = 4.0
    errors: float = 0.01
    median_ms: float = 60.0
    sigma: float = 0.4
    slow_share: float = 0.0
    slow_factor: float = 6.0


@dataclass(frozen=True)
class Request:
    failed: bool
    ms: float


@dataclass
class Shop:
    """Requests by second for one service, and everything it does by minute.

    `others` are the minutes in which other services of the tenant tell of themselves.
    """

    seed: int
    others: set[datetime] = field(default_factory=set)
    served: dict[datetime, list[Request]] = field(default_factory=dict)
    down: bool = False
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def second(self, at: datetime, how: Behaviour) -> None:
        self.served.setdefault(at.replace(second=0), []).extend(
            self._request(how) for _ in range(self._poisson(how.rate))
        )

    async def since(self, tenants: Collection[str], start: datetime) -> Mapping[Target, Traffic]:
        self._answer(tenants)
        found = [r for minute, rs in self.served.items() if minute >= start for r in rs]
        return {CART: traffic(found)} if found else {}

    async def minutes(
        self, tenants: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Target, Sequence[Traffic]]:
        self._answer(tenants)
        return {CART: [traffic(rs) for minute, rs in self.served.items() if start <= minute < end and rs]}

    async def requests(self, tenants: Collection[str], start: datetime, end: datetime) -> Mapping[str, Requests]:
        self._answer(tenants)
        counts = {minute_of(m): len(rs) for m, rs in self.served.items() if start <= m < end and rs}
        alive = {minute_of(m) for m in self.others if start <= m < end} | counts.keys()
        return {CART.tenant: Requests(alive, {CART.service: counts})} if alive else {}

    def _answer(self, tenants: Collection[str]) -> None:
        assert CART.tenant in tenants
        if self.down:
            raise Unavailable("ClickHouse does not answer")

    def _request(self, how: Behaviour) -> Request:
        ms = how.median_ms * math.exp(self._random.gauss(0, how.sigma))
        slow = self._random.random() < how.slow_share
        return Request(self._random.random() < how.errors, ms * how.slow_factor if slow else ms)

    def _poisson(self, mean: float) -> int:
        count, left = 0, math.exp(-mean)
        product = self._random.random()
        while product > left:
            count += 1
            product *= self._random.random()
        return count


def minute_of(at: datetime) -> int:
    return int(at.timestamp()) // 60


def traffic(requests: Sequence[Request]) -> Traffic:
    return Traffic(len(requests), sum(r.failed for r in requests), quantile([r.ms for r in requests], 0.95))


@dataclass
class Outbox:
    """Anomalies and alerts sent, with the seconds since the start; refuses them while it is broken."""

    clock: ManualClock
    sent: list[tuple[float, ServiceAlert]] = field(default_factory=list)
    changes: list[tuple[float, Anomaly]] = field(default_factory=list)
    broken: bool = False
    unreadable: bool = False

    async def send(self, anomalies: Sequence[Anomaly], alerts: Sequence[ServiceAlert], now: datetime) -> None:
        if self.broken:
            raise DeliveryFailed("the broker does not answer")
        seconds = (now - START).total_seconds()
        self.sent.extend((seconds, alert) for alert in alerts)
        self.changes.extend((seconds, found) for found in anomalies)

    async def unfinished(self, rules: Mapping[str, Rule]) -> Sequence[Anomaly]:
        if self.unreadable:
            raise Unavailable("the broker does not answer")
        latest = {(a.service, a.rule.name): a for _, a in self.changes if a.rule.name in rules}
        return [a for a in latest.values() if a.ending is None]


class Watch:
    """Runs a shop second by second with the detector looking every five."""

    def __init__(self, seed: int = 1, rules: RuleSet | None = None) -> None:
        self.clock = ManualClock(START)
        self.shop = Shop(seed)
        self.outbox = Outbox(self.clock)
        self.failures = 0
        self._rules = rules or load_rules(None)
        self.restart()

    def restart(self) -> None:
        """Forget everything the process knew."""
        self.detect = DetectAnomalies(self.shop, self.outbox, self._rules, lambda: {"default"}, self.clock)

    def history(self, minutes: int, how: Behaviour | Callable[[int], Behaviour]) -> None:
        """Fill the minutes before now, unwatched."""
        first = self.clock.now() - timedelta(minutes=minutes)
        for second in range(minutes * 60):
            behaviour = how if isinstance(how, Behaviour) else how(second)
            self.shop.second(first + timedelta(seconds=second), behaviour)
        self.shop.others.update(first.replace(second=0) + timedelta(minutes=n) for n in range(minutes + 1))

    def run(self, seconds: int, how: Behaviour | Callable[[int], Behaviour] | None, gap: bool = False) -> None:
        """Let time pass; None is no traffic, a gap no telemetry of any service."""
        for second in range(seconds):
            if not gap:
                self.shop.others.add(self.clock.now().replace(second=0))
            behaviour = how if how is None or isinstance(how, Behaviour) else how(second)
            if behaviour is not None:
                self.shop.second(self.clock.now(), behaviour)
            self.clock.advance(timedelta(seconds=1))
            if int((self.clock.now() - START).total_seconds()) % 5 == 0:
                self.look()

    def look(self) -> None:
        try:
            asyncio.run(self.detect())
        except Unavailable:
            self.failures += 1

    def fired(self) -> list[tuple[float, str]]:
        """Return when an alert was first sent, and its name."""
        seen: set[tuple[str, datetime]] = set()
        found = []
        for at, alert in self.outbox.sent:
            episode = (alert.labels["alertname"], alert.starts_at)
            if alert.firing and episode not in seen:
                seen.add(episode)
                found.append((at, alert.labels["alertname"]))
        return found

    def resolved(self) -> list[tuple[float, str]]:
        """Return when an alert was sent as resolved, and its name."""
        return [(at, alert.labels["alertname"]) for at, alert in self.outbox.sent if not alert.firing]
