"""What is usual for a service."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.anomaly_detector.domain.rules import BaselineRule

MAD_TO_SIGMA = 1.4826  # the median absolute deviation of a normal distribution is 0.6745 sigma
LEAST_RATIO_SCALE = 0.0025  # a quarter of a percentage point
LEAST_LATENCY_SCALE = 0.05  # of the median


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a service answered in some span of time; p95 in milliseconds."""

    requests: int
    errors: int
    p95_ms: float

    @property
    def error_ratio(self) -> float:
        """Return the fraction of requests that failed, 0 when there were none."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual value of something, its value in a usual bad minute, and one robust standard deviation of minutes."""

    level: float
    burst: float
    scale: float = 0.0


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for a service: its error ratio (a fraction) and its p95 (milliseconds)."""

    error_ratio: Usual
    p95_ms: Usual


def learn(minutes: Sequence[Traffic], rule: BaselineRule, season: Sequence[Traffic] = ()) -> Baseline | None:
    """Return what is usual, or None when there are too few minutes with traffic to tell.

    `minutes` are the latest, `season` those of the same time on earlier days. What was usual in either is usual: a
    nightly job is no anomaly, nor is a new normal. Minutes without traffic are gaps, not zeros. The error ratio is of
    all requests together, since most minutes of a good service have no error at all; the p95 is the median over
    minutes, which a few bad ones do not move.
    """
    learned = [found for part in (minutes, season) if (found := _learn(part, rule)) is not None]
    if not learned:
        return None
    return Baseline(
        error_ratio=_larger([found.error_ratio for found in learned]),
        p95_ms=_larger([found.p95_ms for found in learned]),
    )


def _learn(minutes: Sequence[Traffic], rule: BaselineRule) -> Baseline | None:
    busy = [m for m in minutes if m.requests >= rule.minute_requests]
    if len(busy) < rule.needed_minutes:
        return None
    ratio = sum(m.errors for m in busy) / sum(m.requests for m in busy)
    ratios, p95s = [m.error_ratio for m in busy], [m.p95_ms for m in busy]
    middle = quantile(p95s, 0.5)
    return Baseline(
        error_ratio=Usual(ratio, quantile(ratios, rule.burst_quantile), _scale(ratios, LEAST_RATIO_SCALE)),
        p95_ms=Usual(middle, quantile(p95s, rule.burst_quantile), _scale(p95s, LEAST_LATENCY_SCALE * middle)),
    )


def _larger(found: Sequence[Usual]) -> Usual:
    return Usual(max(u.level for u in found), max(u.burst for u in found), max(u.scale for u in found))


def _scale(values: Sequence[float], least: float) -> float:
    """Return the median absolute deviation as a standard deviation, no less than a floor.

    Without the floor a series that hardly moves would make any flicker look huge.
    """
    middle = quantile(values, 0.5)
    return max(least, MAD_TO_SIGMA * quantile([abs(v - middle) for v in values], 0.5))


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of at least one value."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
