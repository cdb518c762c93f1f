"""What is usual for a service."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.anomaly_detector.domain.rules import BaselineRule


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
    """The usual value of something, and its value in a usual bad minute."""

    level: float
    burst: float


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is usual for a service: its error ratio (a fraction) and its p95 (milliseconds)."""

    error_ratio: Usual
    p95_ms: Usual


def learn(minutes: Sequence[Traffic], rule: BaselineRule) -> Baseline | None:
    """Return what is usual, or None when there are too few minutes with traffic to tell.

    Minutes without traffic are gaps, not zeros. The error ratio is of all requests together; the p95 is the median
    over minutes, which a few bad ones do not move.
    """
    busy = [m for m in minutes if m.requests >= rule.minute_requests]
    if len(busy) < rule.needed_minutes:
        return None
    ratio = sum(m.errors for m in busy) / sum(m.requests for m in busy)
    p95s = [m.p95_ms for m in busy]
    return Baseline(
        error_ratio=Usual(ratio, quantile([m.error_ratio for m in busy], rule.burst_quantile)),
        p95_ms=Usual(quantile(p95s, 0.5), quantile(p95s, rule.burst_quantile)),
    )


def quantile(values: Sequence[float], q: float) -> float:
    """Return the nearest-rank quantile of at least one value."""
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
