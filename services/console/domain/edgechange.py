"""How the calls between two services changed against their own usual, and how much harm goes through them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from libs.kernel.quantities import NO_VALUE, milliseconds, percent, significant
from services.console.domain.models import Edge

Z = 2.58  # bounds of an error share hold in 99 of 100 windows
LEAST_CALLS = 30  # fewer tell neither how long calls usually take nor how many usually fail
LEAST_ERRORS = 5  # failures more than usual; fewer are everyday's
LEAST_RISE = 0.01  # of the error share: a percentage point, and of what is usual already:
LEAST_RISE_OF_USUAL = 0.25
SLOWER, LEAST_WAIT = 2.0, 20.0  # times the usual mean, and milliseconds more than it
MUCH_RISE = 0.1
MUCH_SLOWER, MUCH_WAIT = 5.0, 100.0
FAILS = 0.05  # the error share that no edge has as its usual: a failure even with nothing to compare with


class Level(Enum):
    """How far an edge is from its own usual, least first; the value is the word people read."""

    CALM = "as before"
    NO_BASELINE = "no baseline"
    NO_DATA = "no calls now"
    WORSE = "worse"
    MUCH_WORSE = "much worse"

    @property
    def rank(self) -> int:
        """Return its place, 0 for calm."""
        return list(Level).index(self)

    @property
    def slug(self) -> str:
        """Return the name in style sheets."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """An edge now and before, None where it had no calls then.

    `added_errors` is how many calls failed beyond the usual share, `added_wait_ms` how much longer all its calls took
    together; both are 0 for what everyday noise explains.
    """

    now: Edge
    before: Edge | None
    level: Level
    added_errors: float = 0.0
    added_wait_ms: float = 0.0

    @property
    def client(self) -> str:
        """Return who calls."""
        return self.now.client

    @property
    def server(self) -> str:
        """Return who is called."""
        return self.now.server

    @property
    def calls(self) -> int:
        """Return the calls of now."""
        return self.now.calls

    @property
    def headline(self) -> str:
        """Return the numbers that changed most to the point, empty where nothing did: `7 ms → 944 ms`."""
        if self.level is Level.NO_DATA:
            return "no calls"
        if self.level is Level.NO_BASELINE:
            return f"{percent(self.now.error_ratio)} fail" if self.added_errors else ""
        return self.errors if self.added_errors else self.latency if self.added_wait_ms else ""

    @property
    def errors(self) -> str:
        """Return the share of failed calls: `0.1 % → 31 %`."""
        return _moved(*(percent(e.error_ratio) if e and e.calls else NO_VALUE for e in (self.before, self.now)))

    @property
    def latency(self) -> str:
        """Return the mean time of a call: `7 ms → 944 ms`."""
        return _moved(*(milliseconds(e.mean_ms) if e and e.calls else NO_VALUE for e in (self.before, self.now)))

    @property
    def rate(self) -> str:
        """Return the calls while they were measured: `3.2/s → 2.9/s`."""
        return _moved(*(per_second(e.per_second) if e else NO_VALUE for e in (self.before, self.now)))

    @property
    def summary(self) -> str:
        """Return all of it as a sentence."""
        return (
            f"{self.client} calls {self.server}, {self.level.value}: errors {self.errors}, "
            f"mean latency {self.latency}, calls {self.rate}"
        )


def per_second(rate: float) -> str:
    """Return calls per second as people read them: `3.2/s`."""
    return f"{significant(float(f'{rate:.3g}'))}/s"


def compare(now: Sequence[Edge], before: Sequence[Edge]) -> list[EdgeChange]:
    """Return every edge of now beside its own past, then those that are missed: calls were due and none came."""
    past = {(e.client, e.server): e for e in before}
    changes = [_judged(e, past.pop((e.client, e.server), None)) for e in now]
    heard = max((e.minutes for e in now), default=0)
    missed = [e for e in past.values() if e.per_second * 60 * heard >= LEAST_ERRORS]
    silent = [replace(e, calls=0, errors=0, mean_ms=math.nan, minutes=heard) for e in missed]
    return changes + [EdgeChange(n, b, Level.NO_DATA) for n, b in zip(silent, missed, strict=True)]


def shares_of_harm(changes: Sequence[EdgeChange]) -> list[float]:
    """Return for each edge its share of all added failures or of all added waiting, the larger; 0 without harm."""
    errors, wait = sum(c.added_errors for c in changes), sum(c.added_wait_ms for c in changes)
    return [max(c.added_errors / (errors or 1), c.added_wait_ms / (wait or 1)) for c in changes]


def error_bounds(edge: Edge) -> tuple[float, float]:
    """Return what an edge's error share may really be, after Wilson (1927); from 0 to 1 without calls."""
    n = edge.calls
    if not n:
        return 0.0, 1.0
    middle = edge.error_ratio + Z * Z / (2 * n)
    reach = Z * math.sqrt(edge.error_ratio * (1 - edge.error_ratio) / n + (Z / (2 * n)) ** 2)
    return (middle - reach) / (1 + Z * Z / n), (middle + reach) / (1 + Z * Z / n)


def _judged(now: Edge, before: Edge | None) -> EdgeChange:
    if before is None or before.calls < min(LEAST_CALLS, now.calls):
        fails = now.errors >= LEAST_ERRORS and error_bounds(now)[0] >= FAILS
        return EdgeChange(now, before, Level.NO_BASELINE, float(now.errors) if fails else 0.0)
    errors, wait = _added_errors(now, before), _added_wait_ms(now, before)
    much_slower = now.mean_ms >= MUCH_SLOWER * before.mean_ms and wait >= MUCH_WAIT * now.calls
    if (errors and errors >= MUCH_RISE * now.calls) or (wait and much_slower):
        level = Level.MUCH_WORSE
    else:
        level = Level.WORSE if errors or wait else Level.CALM
    return EdgeChange(now, before, level, errors, wait)


def _added_errors(now: Edge, before: Edge) -> float:
    """Return the failures beyond the usual share, 0 unless they are more than chance and than matters."""
    rise = now.error_ratio - before.error_ratio
    certain = error_bounds(now)[0] > error_bounds(before)[1]
    matters = rise >= max(LEAST_RISE, LEAST_RISE_OF_USUAL * before.error_ratio) and rise * now.calls >= LEAST_ERRORS
    return rise * now.calls if certain and matters else 0.0


def _added_wait_ms(now: Edge, before: Edge) -> float:
    """Return by how much calls took longer together, 0 unless there are enough of them and they took much longer."""
    enough = min(now.calls, before.calls) >= LEAST_CALLS
    more = now.mean_ms - before.mean_ms
    return more * now.calls if enough and now.mean_ms >= SLOWER * before.mean_ms and more >= LEAST_WAIT else 0.0


def _moved(before: str, now: str) -> str:
    return f"{before} → {now}"
