"""How calls, between two services or to one, changed against their own usual, and how much harm goes through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

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
NO_BREAK = "\N{NO-BREAK SPACE}"  # a number stays on one line with its unit
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


class Counted(Protocol):
    """Calls that were counted over a window."""

    @property
    def calls(self) -> int:
        """Return how many there were."""
        ...

    @property
    def errors(self) -> int:
        """Return how many of them failed."""
        ...

    @property
    def error_ratio(self) -> float:
        """Return errors per call, 0 without calls."""
        ...


@dataclass(frozen=True, slots=True)
class Harm:
    """What part of the harm on a map goes through one edge: a share from 0 to 1, and of what."""

    share: float
    of: str

    def __str__(self) -> str:
        """Return it in words, empty without harm."""
        return f"{percent(self.share)} of {self.of}" if self.share else ""


@dataclass(frozen=True, slots=True)
class EdgeChange:
    """An edge now and before, None where it had no calls then.

    `added_errors` is how many calls failed beyond the usual share, `added_wait_ms` how much longer all its calls took
    together; both are 0 for what everyday noise explains. `by_latency` tells that the second made the level.
    """

    now: Edge
    before: Edge | None
    level: Level
    added_errors: float = 0.0
    added_wait_ms: float = 0.0
    by_latency: bool = False

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
        """Return in a few characters what changed, empty where nothing did: `7 → 944 ms`."""
        if self.level is Level.NO_DATA:
            return "no calls"
        if self.level is Level.NO_BASELINE:
            return f"{percent(self.now.error_ratio)} fail" if self.added_errors else ""
        if self.level is Level.CALM:
            return ""
        before, now = self._latencies if self.by_latency else self._errors
        value, _, unit = before.rpartition(" ")
        return f"{value if now.endswith(f' {unit}') else before} → {now}"

    @property
    def errors(self) -> str:
        """Return the share of failed calls: `0.1 % → 31 %`."""
        return moved(*self._errors)

    @property
    def _errors(self) -> tuple[str, str]:
        return self._told(lambda e: percent(e.error_ratio) if e.calls else NO_VALUE)

    @property
    def latency(self) -> str:
        """Return the mean time of a call: `7 ms → 944 ms`."""
        return moved(*self._latencies)

    @property
    def _latencies(self) -> tuple[str, str]:
        return self._told(lambda e: milliseconds(e.mean_ms) if e.calls else NO_VALUE)

    @property
    def rate(self) -> str:
        """Return the calls while they were measured: `3.2/s → 2.9/s`."""
        return moved(*self._told(lambda e: per_second(e.per_second) if e.minutes else NO_VALUE))

    def _told(self, words: Callable[[Edge], str]) -> tuple[str, str]:
        return words(self.before) if self.before else NO_VALUE, words(self.now)

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
    calling = {e.client: e.minutes for e in now}
    silent = [replace(e, calls=0, errors=0, mean_ms=math.nan, minutes=calling.get(e.client, 0)) for e in missed]
    return changes + [EdgeChange(n, b, Level.NO_DATA) for n, b in zip(silent, missed, strict=True)]


def shares_of_harm(changes: Sequence[EdgeChange]) -> list[Harm]:
    """Return for each edge its share of all added failures or of all added waiting, whichever is larger."""
    errors, wait = sum(c.added_errors for c in changes), sum(c.added_wait_ms for c in changes)
    return [
        max(
            Harm(c.added_errors / (errors or 1), "added failures"),
            Harm(c.added_wait_ms / (wait or 1), "added waiting"),
            key=lambda harm: harm.share,
        )
        for c in changes
    ]


def error_bounds(counted: Counted) -> tuple[float, float]:
    """Return what an error share may really be, after Wilson (1927); from 0 to 1 without calls."""
    n, ratio = counted.calls, counted.error_ratio
    if not n:
        return 0.0, 1.0
    middle = ratio + Z * Z / (2 * n)
    reach = Z * math.sqrt(ratio * (1 - ratio) / n + (Z / (2 * n)) ** 2)
    return (middle - reach) / (1 + Z * Z / n), (middle + reach) / (1 + Z * Z / n)


def _judged(now: Edge, before: Edge | None) -> EdgeChange:
    errors = added_errors(now, before)
    if before is None or _too_few(now, before):
        return EdgeChange(now, before, Level.NO_BASELINE, errors)
    wait = _added_wait_ms(now, before)
    failing = _level(errors, errors >= MUCH_RISE * now.calls)
    slowing = _level(wait, wait >= MUCH_WAIT * now.calls and now.mean_ms >= MUCH_SLOWER * before.mean_ms)
    by_latency = slowing.rank > failing.rank
    return EdgeChange(now, before, slowing if by_latency else failing, errors, wait, by_latency)


def _level(added: float, much: bool) -> Level:
    if not added:
        return Level.CALM
    return Level.MUCH_WORSE if much else Level.WORSE


def _too_few(now: Counted, before: Counted) -> bool:
    return before.calls < min(LEAST_CALLS, now.calls)


def added_errors(now: Counted, before: Counted | None) -> float:
    """Return the failures beyond the usual share, 0 unless they are more than chance and than matters.

    With too little before to compare with they are all failures, where there are more than are anybody's usual.
    """
    if before is None or _too_few(now, before):
        fails = now.errors >= LEAST_ERRORS and error_bounds(now)[0] >= FAILS
        return float(now.errors) if fails else 0.0
    rise = now.error_ratio - before.error_ratio
    certain = error_bounds(now)[0] > error_bounds(before)[1]
    matters = rise >= max(LEAST_RISE, LEAST_RISE_OF_USUAL * before.error_ratio) and rise * now.calls >= LEAST_ERRORS
    return rise * now.calls if certain and matters else 0.0


def _added_wait_ms(now: Edge, before: Edge) -> float:
    """Return by how much calls took longer together, 0 unless there are enough of them and they took much longer."""
    enough = min(now.calls, before.calls) >= LEAST_CALLS
    more = now.mean_ms - before.mean_ms
    return more * now.calls if enough and now.mean_ms >= SLOWER * before.mean_ms and more >= LEAST_WAIT else 0.0


def moved(before: str, now: str) -> str:
    """Return two values that stand for before and now: `0.1 % → 31 %`."""
    return " → ".join(part.replace(" ", NO_BREAK) for part in (before, now))
