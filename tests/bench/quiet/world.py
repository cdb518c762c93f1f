"""Services nothing is wrong with: seeded traffic with days, weeks, bursts, lulls, slow tails and now and then an error.

Requests of a day are drawn per service; of days gone by only the sums per minute are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

import numpy as np
import numpy.typing as npt

from libs.kernel.clock import ManualClock
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.domain.drop import Requests
from services.anomaly_detector.ports import Target

TENANT = "quiet"
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTES = 1440
LEAST_RATE, MOST_RATE = 0.02, 15.0  # requests a second
Floats = npt.NDArray[np.float64]
Drop = tuple[int, int, float]  # from minute, to minute of the day, what is left


class Habit(Enum):
    """How a service spends its day."""

    DAILY = "daily"  # more by day than by night
    OFFICE = "office"  # hardly anything but from about 8 to about 18 o'clock
    JOB = "job"  # five minutes of every half hour


@dataclass(frozen=True, slots=True)
class Character:
    """What stays the same of a service. Rates a second, latencies in ms; the rest are shares or log deviations."""

    name: str
    habit: Habit
    rate: float
    swing: float
    peak_minute: float
    weekend: float
    burstiness: float
    wander: float
    errors: float
    median_ms: float
    tail: float
    slow: float


def characters(count: int, seed: int) -> list[Character]:
    """Return services from hardly used to busy; one in ten keeps office hours, one in ten runs jobs."""
    rng = np.random.default_rng([seed, 1])
    habits = [{0: Habit.OFFICE, 1: Habit.JOB}.get(n % 10, Habit.DAILY) for n in range(count)]
    return [
        Character(
            name=f"service-{n:02d}",
            habit=habit,
            rate=float(np.clip(np.exp(rng.normal(np.log(1.0), 1.5)), LEAST_RATE, MOST_RATE)),
            swing=float(rng.uniform(0.1, 0.9)),
            peak_minute=float(rng.uniform(0, MINUTES)),
            weekend=float(rng.uniform(0.3, 1.0)),
            burstiness=float(rng.uniform(0.05, 0.4)),
            wander=float(rng.uniform(0.0, 0.25)),
            errors=float(np.exp(rng.uniform(np.log(0.0005), np.log(0.03)))),
            median_ms=float(np.exp(rng.uniform(np.log(5), np.log(400)))),
            tail=float(rng.uniform(0.3, 1.0)),
            slow=float(rng.uniform(0.0, 0.03)),
        )
        for n, habit in enumerate(habits)
    ]


@dataclass(frozen=True, slots=True)
class Day:
    """Requests of one service on one day, by time: seconds of the day, milliseconds, whether it failed."""

    second: Floats
    ms: Floats
    failed: npt.NDArray[np.bool_]

    def between(self, first: float, last: float) -> Traffic:
        """Return what came in a span of seconds; the p95 is the nearest rank."""
        part = slice(*np.searchsorted(self.second, (first, last)))
        ms = self.ms[part]
        if not ms.size:
            return Traffic(0, 0, 0.0)
        place = max(0, int(np.ceil(0.95 * ms.size)) - 1)
        return Traffic(ms.size, int(self.failed[part].sum()), float(np.partition(ms, place)[place]))


def draw(who: Character, day: int, seed: int, gap: range, drop: Drop | None) -> Day:
    """Return one day of a service. Nothing is recorded of the minutes in `gap`; `drop` takes traffic away."""
    rng = np.random.default_rng([seed, 2, day, int(who.name[-2:])])
    share = _shape(who, day, rng) * rng.gamma(1 / who.burstiness**2, who.burstiness**2, MINUTES) * _wander(who, rng)
    share[gap.start : gap.stop] = 0
    if drop:
        share[drop[0] : drop[1]] *= drop[2]
    counts = rng.poisson(60 * who.rate * share)
    minute = np.repeat(np.arange(MINUTES), counts)
    second = np.sort(60 * minute + rng.uniform(0, 60, minute.size))
    load = np.repeat((1 + 0.3 * share) * np.exp(rng.normal(0, 0.1, MINUTES)), counts)
    ms = who.median_ms * load * np.exp(rng.normal(0, who.tail, minute.size))
    ms[rng.random(minute.size) < who.slow] *= 5
    errors = np.repeat(np.minimum(1, who.errors * rng.gamma(2, 0.5, MINUTES)), counts)
    return Day(second, ms, rng.random(minute.size) < errors)


def _shape(who: Character, day: int, rng: np.random.Generator) -> Floats:
    minutes = np.arange(MINUTES)
    week = who.weekend if day % 7 >= 5 else 1.0
    if who.habit is Habit.JOB:
        return np.where(minutes % 30 < 5, 6.0, 0.0) * week
    if who.habit is Habit.OFFICE:
        opens, closes = rng.normal((480, 1080), 8)
        return np.where((minutes >= opens) & (minutes < closes) & (day % 7 < 5), 2.0, 0.03)
    daily: Floats = 1 + who.swing * np.cos(2 * np.pi * (minutes - who.peak_minute) / MINUTES)
    return week * daily


def _wander(who: Character, rng: np.random.Generator) -> Floats:
    """Return slow ups and downs that come back to normal within an hour or so."""
    steps = rng.normal(0, who.wander * np.sqrt(2 / 60), MINUTES)
    level, levels = 0.0, []
    for change in steps:
        level += change - level / 60
        levels.append(level)
    found: Floats = np.exp(np.asarray(levels))
    return found


class QuietWorld:
    """The rollups of a tenant at the instant its clock shows, as the detector reads them."""

    def __init__(self, count: int, seed: int, drops: Mapping[str, Drop] | None = None) -> None:
        self.characters = characters(count, seed)
        self.clock = ManualClock(MONDAY)
        self.day = -1
        self._seed = seed
        self._drops = dict(drops or {})
        self._today: dict[str, Day] = {}
        self._minutes: dict[str, dict[int, Traffic]] = {who.name: {} for who in self.characters}

    def begin(self, day: int, with_drops: bool = False) -> None:
        """Draw a day; in every one, no telemetry of anybody comes for a quarter of an hour."""
        start = int(np.random.default_rng([self._seed, 3, day]).integers(MINUTES - 15))
        self.day = day
        for who in self.characters:
            drop = self._drops.get(who.name) if with_drops else None
            self._today[who.name] = drawn = draw(who, day, self._seed, range(start, start + 15), drop)
            edges = np.searchsorted(drawn.second, 60 * np.arange(MINUTES + 1))
            first = self._minute(MONDAY + day * DAY)
            for n in np.flatnonzero(np.diff(edges)).tolist():
                self._minutes[who.name][first + n] = drawn.between(60 * n, 60 * n + 60)

    def again(self) -> QuietWorld:
        """Return the same world on a clock of its own, as if its last day had not been."""
        first = self._minute(MONDAY + self.day * DAY)
        twin = QuietWorld(len(self.characters), self._seed, self._drops)
        twin._minutes = {n: {m: t for m, t in known.items() if m < first} for n, known in self._minutes.items()}
        return twin

    def usual_rate(self, service: str, at: datetime) -> float:
        """Return the median requests a minute of the hour before an instant."""
        last = self._minute(at)
        known = self._minutes[service]
        return float(np.median([known[m].requests if m in known else 0 for m in range(last - 60, last)]))

    async def since(self, _tenants: Collection[str], start: datetime) -> Mapping[Target, Traffic]:
        """Return the traffic from a minute of today, or of the night before, up to now."""
        midnight = MONDAY + self.day * DAY
        now = (self.clock.now() - midnight).total_seconds()
        first = (start - midnight).total_seconds()
        found = {Target(TENANT, name): day.between(max(0.0, first), now) for name, day in self._today.items()}
        return {target: traffic for target, traffic in found.items() if traffic.requests}

    async def minutes(
        self, _tenants: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Target, Sequence[Traffic]]:
        """Return the traffic of each whole minute."""
        span = range(self._minute(start), self._minute(end))
        found = {n: [known[m] for m in span if m in known] for n, known in self._minutes.items()}
        return {Target(TENANT, name): minutes for name, minutes in found.items() if minutes}

    async def requests(self, _tenants: Collection[str], start: datetime, end: datetime) -> Mapping[str, Requests]:
        """Return requests by minute up to now, the current minute as far as it has come."""
        span = range(self._minute(start), min(self._minute(end), self._minute(self.clock.now()) + 1))
        counts = {name: {m: known[m].requests for m in span if m in known} for name, known in self._minutes.items()}
        alive = frozenset(m for found in counts.values() for m in found)
        return {TENANT: Requests(alive, counts)} if alive else {}

    @staticmethod
    def _minute(at: datetime) -> int:
        return int(at.timestamp()) // 60
