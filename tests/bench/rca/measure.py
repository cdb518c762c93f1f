"""Strict accuracy: ties rank last, what is not ranked is a miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MISS = 10**6
BINS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """One case judged: the cause's rank (a chance of each place for `random`), and the method's claim."""

    case: str
    fault: str
    places: Mapping[int, float]
    confidence: float = 0.0
    named: bool = False

    def within(self, k: int) -> float:
        """Return the chance that the cause is among the first k."""
        return sum(chance for place, chance in self.places.items() if place <= k)

    @property
    def avg5(self) -> float:
        """Return the mean of AC@1 to AC@5."""
        return sum(self.within(k) for k in range(1, 6)) / 5


def rank(scores: Mapping[str, float], cause: str) -> int:
    """Return the cause's place when every tie goes against it; a score of 0 is no ranking at all."""
    own = scores.get(cause, 0.0)
    return sum(1 for value in scores.values() if value >= own) if own > 0 else MISS


def uniform(candidates: int) -> dict[int, float]:
    """Return the chance of each place for a blind guess."""
    return dict.fromkeys(range(1, candidates + 1), 1 / candidates)


def interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean."""
    rng = np.random.default_rng(seed)
    means = rng.choice(np.asarray(values), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def calibration_error(outcomes: Sequence[Outcome]) -> float:
    """Return the expected calibration error of the first place's confidence, over bins of equal width."""
    claimed = np.array([o.confidence for o in outcomes])
    right = np.array([o.within(1) for o in outcomes])
    bins = np.minimum((claimed * BINS).astype(int), BINS - 1)
    return float(
        sum(abs(claimed[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist()))
    )
