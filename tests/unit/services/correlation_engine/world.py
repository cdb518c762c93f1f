"""A synthetic shop: random call graphs, per-minute roll-ups with sampling noise, and four kinds of outage.

Nothing here knows how the ranking works; it only simulates what tracing, metrics and logs would have recorded.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from services.correlation_engine.domain.model import (
    Change,
    Edge,
    FloatArray,
    Gauge,
    Grid,
    LogSignature,
    ServiceSeries,
    Telemetry,
)

CAUSES = ("bad-deploy", "slow-database", "dead-dependency", "cpu-starvation")
SHAPES = ("shop", "chain", "wide", "layered")
START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
HISTORY = 120
BUSY = 25  # requests per minute below which an outage is a handful of requests


@dataclass(frozen=True)
class Call:
    """One relation: calls per request, and how often a failed call fails the caller."""

    client: str
    server: str
    per_request: float
    fatal: float


@dataclass(frozen=True)
class Shop:
    """The static world. Services are listed callers first."""

    services: tuple[str, ...]
    calls: tuple[Call, ...]
    own_ms: dict[str, float]
    databases: tuple[str, ...]
    externals: tuple[str, ...]
    noisy: str
    parallel: frozenset[str]
    requests_per_minute: float

    @property
    def entry(self) -> str:
        """Return the service users reach."""
        return self.services[0]

    def out(self, node: str) -> list[Call]:
        """Return the calls a node makes."""
        return [c for c in self.calls if c.client == node]


@dataclass
class Fault:
    """What is different during the outage, and the truth."""

    expected: str = ""
    error: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    dead: dict[str, float] = field(default_factory=dict)
    starved: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """One case for the ranking."""

    telemetry: Telemetry
    affected: tuple[str, ...]
    started_at: datetime
    onset: datetime
    expected: str
    shop: Shop


def build_shop(rng: random.Random, shape: str = "shop", size: int = 12) -> Shop:
    """Return a random shop with `size` services, three databases and one third party."""
    names = [f"svc-{rng.randrange(16**6):06x}" for _ in range(size)]
    pairs = _pairs(rng, shape, names)
    databases = tuple(f"db-{rng.randrange(16**5):05x}" for _ in range(3))
    external = f"ext-{rng.randrange(16**5):05x}"
    calls = [Call(c, s, rng.choice([0.4, 0.7, 1.0, 1.0, 2.0]), rng.choice([0.7, 0.9, 1.0])) for c, s in pairs]
    for name in names[3:]:
        if rng.random() < 0.6:
            calls.append(Call(name, rng.choice(databases), rng.choice([1.0, 2.0, 3.0]), 0.95))
    for db in databases:
        if not any(c.server == db for c in calls):
            calls.append(Call(rng.choice(names[3:]), db, 2.0, 0.95))
    calls.append(Call(rng.choice(names[2:]), external, 1.0, 0.9))
    own = {n: rng.uniform(3, 25) for n in names} | {d: rng.uniform(1, 8) for d in databases} | {external: 40.0}
    parallel = frozenset(n for n in names if rng.random() < 0.25)
    noisy = rng.choice(names[2:])
    return Shop(
        tuple(names), tuple(calls), own, databases, (external,), noisy, parallel, rng.choice([120.0, 300.0, 900.0])
    )


def _pairs(rng: random.Random, shape: str, names: list[str]) -> list[tuple[str, str]]:
    if shape == "chain":
        return list(pairwise(names))
    if shape == "wide":
        return [(names[0], n) for n in names[1:7]] + [(names[rng.randrange(1, 7)], n) for n in names[7:]]
    pairs = [(names[rng.randrange(max(0, i - 4), i)], names[i]) for i in range(1, len(names))]
    extra = 5 if shape == "layered" else 3
    for _ in range(extra):
        a, b = sorted(rng.sample(range(len(names)), 2))
        if (names[a], names[b]) not in pairs:
            pairs.append((names[a], names[b]))
    return pairs


def visits(shop: Shop) -> dict[str, float]:
    """Return how often each node is called per request of the entry."""
    count = {shop.entry: 1.0}
    for name in shop.services:
        for call in shop.out(name):
            count[call.server] = count.get(call.server, 0.0) + count.get(name, 0.0) * call.per_request
    return count


def build_fault(rng: random.Random, shop: Shop, cause: str, onset: datetime) -> Fault:
    """Return an outage of a kind at a random place that the entry depends on."""
    count = {n: v for n, v in visits(shop).items() if v * shop.requests_per_minute >= BUSY and v >= 0.2}
    services = [n for n in shop.services[1:] if n in count and n != shop.noisy]
    match cause:
        case "bad-deploy":
            guilty = rng.choice(services)
            fault = Fault(guilty, error={guilty: rng.uniform(0.2, 0.5)}, slow={guilty: rng.uniform(2.0, 4.0)})
        case "slow-database":
            guilty = max(shop.databases, key=lambda d: (d in count, rng.random(), d))
            fault = Fault(guilty, slow={guilty: rng.uniform(15, 40)}, error={guilty: 0.04})
        case "dead-dependency":
            leaves = [n for n in services if not shop.out(n)]
            guilty = rng.choice([n for n in shop.externals if n in count] + leaves[:1] or services[-1:])
            fault = Fault(guilty, dead={guilty: rng.choice([3.0, 1500.0])})
        case "cpu-starvation":
            guilty = rng.choice(services[len(services) // 2 :])
            fault = Fault(guilty, slow={guilty: rng.uniform(10, 20)}, starved=guilty)
        case _:
            fault = Fault()
    fault.changes = _changes(rng, shop, fault, cause, onset)
    return fault


def _changes(rng: random.Random, shop: Shop, fault: Fault, cause: str, onset: datetime) -> tuple[Change, ...]:
    innocent = rng.sample([n for n in shop.services if n != fault.expected], 2)
    found = [_change(n, onset - timedelta(seconds=rng.uniform(20, 500))) for n in innocent]
    if cause == "bad-deploy":
        found.append(_change(fault.expected, onset - timedelta(seconds=rng.uniform(10, 100))))
    return tuple(found)


def _change(service: str, start: datetime) -> Change:
    return Change(f"deploy-{service}", service, "1.2.3", start, start + timedelta(seconds=8))


class _Minute:
    """Simulates one minute: requests flow down the graph, time and failures come back up it."""

    def __init__(self, shop: Shop, fault: Fault | None, share: float, rng: np.random.Generator) -> None:
        self.shop, self.fault, self.rng = shop, fault or Fault(), rng
        self.made: dict[str, int] = {shop.entry: int(rng.poisson(shop.requests_per_minute * share))}
        self.calls: dict[Call, int] = {}
        self.edges: dict[Call, tuple[int, int, float, float, int]] = {}
        self.services: dict[str, tuple[int, int, float]] = {}
        for name in shop.services:
            self._send(name)
        for name in (*shop.databases, *shop.externals, *reversed(shop.services)):
            self._serve(name)

    def _served(self, node: str) -> int:
        return 0 if node in self.fault.dead else self.made.get(node, 0)

    def _send(self, name: str) -> None:
        for call in self.shop.out(name):
            self.calls[call] = int(self.rng.poisson(self._served(name) * call.per_request))
            self.made[call.server] = self.made.get(call.server, 0) + self.calls[call]

    def _total(self, mean: float, n: int) -> float:
        return max(0.0, float(self.rng.normal(mean * n, 0.6 * mean * n**0.5))) if n else 0.0

    def _serve(self, node: str) -> None:
        n, noisy = self._served(node), node == self.shop.noisy
        jitter = self.rng.lognormal(0, 0.2 if noisy else 0.03)
        time = self._total(self.shop.own_ms[node] * self.fault.slow.get(node, 1.0) * jitter, n)
        own_errors = 1 - (0.96 if noisy else 0.998) * (1 - self.fault.error.get(node, 0.0))
        failed = int(self.rng.binomial(n, own_errors))
        below = [self._edge(call) for call in self.shop.out(node)]
        waits = [edge[2] for edge in below]
        time += max(waits, default=0.0) if node in self.shop.parallel else sum(waits)
        for call, edge in zip(self.shop.out(node), below, strict=True):
            failed += int(self.rng.binomial(edge[1], call.fatal))
        self.services[node] = (n, min(n, failed), time)

    def _edge(self, call: Call) -> tuple[int, int, float, float, int]:
        made, total = self.calls[call], max(1, self.made[call.server])
        _served, failed, time = self.services[call.server]
        server = time * made / total
        client = server + 0.6 * made * (4 if call.server == self.fault.starved else 1)
        client *= 1.25 if call.client == self.fault.starved else 1.0
        if call.server in self.fault.dead:
            failed, client = int(self.rng.binomial(total, 0.97)), self._total(self.fault.dead[call.server], made)
        instrumented = call.server in self.shop.services
        lost = made if call.server in self.fault.dead or not instrumented else 0
        edge = (made, round(failed * made / total), client, server if instrumented else 0.0, lost)
        self.edges[call] = edge
        return edge


def simulate(
    seed: int,
    cause: str,
    shape: str = "shop",
    incident_minutes: float = 2.3,
    alert_after: float = 1.5,
    start: datetime = START,
) -> Scenario:
    """Return two hours of history and an outage of `incident_minutes`; `cause` "none" for no outage at all."""
    rng, np_rng = random.Random(f"{seed}-{cause}-{shape}"), np.random.default_rng(seed)
    shop = build_shop(rng, shape)
    onset = start + timedelta(minutes=HISTORY, seconds=rng.uniform(0, 30))
    end = onset + timedelta(minutes=incident_minutes)
    grid = Grid(start, end)
    fault = build_fault(rng, shop, cause, onset)
    minutes = []
    for index in range(grid.length):
        at = grid.instant(index)
        share = min(1.0, (end - at) / grid.step)
        active = at + grid.step > onset
        minutes.append(_Minute(shop, fault if active else None, share, np_rng))
    telemetry = Telemetry(
        grid,
        _services(shop, minutes),
        _edges(shop, minutes),
        _signatures(shop, minutes, fault, grid, np_rng),
        _gauges(shop, fault, grid, np_rng),
        fault.changes,
    )
    alert = onset + timedelta(minutes=alert_after)
    return Scenario(telemetry, (_alerting(shop, minutes),), alert, onset, fault.expected, shop)


def _alerting(shop: Shop, minutes: list[_Minute]) -> str:
    """Return the service nearest to the users over which a threshold alert fires; the entry when none does."""

    def totals(name: str, some: list[_Minute]) -> tuple[float, float]:
        n, failed, time = (sum(m.services[name][i] for m in some) for i in range(3))
        return (failed / n, time / n) if n else (0.0, 0.0)

    for name in shop.services:
        (calm_errors, calm_ms), (errors, ms) = totals(name, minutes[:HISTORY]), totals(name, minutes[HISTORY:])
        if errors > calm_errors + 0.05 or ms > 1.5 * calm_ms:
            return name
    return shop.entry


def _services(shop: Shop, minutes: list[_Minute]) -> tuple[ServiceSeries, ...]:
    out = []
    for name in shop.services:
        rows = np.array([m.services[name] for m in minutes], dtype=float)
        p95 = np.divide(2.2 * rows[:, 2], rows[:, 0], out=np.full(len(rows), np.nan), where=rows[:, 0] > 0)
        out.append(ServiceSeries(name, rows[:, 0], rows[:, 1], rows[:, 2], p95))
    return tuple(out)


def _edges(shop: Shop, minutes: list[_Minute]) -> tuple[Edge, ...]:
    out = []
    for call in shop.calls:
        rows = np.array([m.edges[call] for m in minutes], dtype=float)
        known = call.server in shop.services
        kind = "rpc" if known else "database" if call.server in shop.databases else "http"
        out.append(Edge(call.client, call.server, kind, known, *(rows[:, i] for i in range(5))))
    return tuple(out)


def _signatures(
    shop: Shop, minutes: list[_Minute], fault: Fault, grid: Grid, rng: np.random.Generator
) -> tuple[LogSignature, ...]:
    found = [
        LogSignature(shop.noisy, 17, "cache miss <*>", "cache miss for 123", rng.poisson(20, grid.length).astype(float))
    ]
    for name in shop.services:
        counts = np.array([rng.poisson(0.5 * m.services[name][1]) for m in minutes], dtype=float)
        found.append(LogSignature(name, 17, f"{name} failed <*>", f"{name} request failed", counts))
    onset = np.flatnonzero([m.fault.expected != "" for m in minutes])
    if onset.size and fault.error.get(fault.expected, 0) > 0.1:
        counts = np.zeros(grid.length)
        counts[onset] = rng.poisson(15, onset.size)
        found.append(LogSignature(fault.expected, 17, "NullReference <*>", "NullReference at Total#42", counts))
    return tuple(found)


def _gauges(shop: Shop, fault: Fault, grid: Grid, rng: np.random.Generator) -> tuple[Gauge, ...]:
    out = []
    for name in shop.services:
        cpu: FloatArray = np.clip(rng.normal(0.35, 0.04, grid.length), 0, 1)
        if name == fault.starved:
            cpu[HISTORY:] = np.clip(rng.normal(0.99, 0.01, cpu[HISTORY:].size), 0, 1)
        out.append(Gauge(name, "container.cpu.utilization", "1", cpu))
        memory = np.clip(rng.normal(0.55, 0.01, grid.length), 0, 1)
        out.append(Gauge(name, "container.memory.utilization", "1", memory))
    return tuple(out)


def with_changes(scenario: Scenario, *more: Change) -> Scenario:
    """Return the scenario with further deploys."""
    telemetry = replace(scenario.telemetry, changes=scenario.telemetry.changes + more)
    return replace(scenario, telemetry=telemetry)
