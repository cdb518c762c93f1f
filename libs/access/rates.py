"""Token buckets: how often a key may call one process."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_SECONDS = 2.0  # a quiet key has saved up this much
FORGET_ABOVE = 10_000  # buckets


class RateLimits:
    """One bucket per key. Not shared between processes: a key's rate holds at each of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str, per_second: float) -> float:
        """Take one call of a key; return 0.0, or the seconds until there is one to take."""
        now, most = self._clock(), max(1.0, per_second * BURST_SECONDS)
        left, at = self._buckets.get(key, (most, now))
        left = min(most, left + (now - at) * per_second)
        if left < 1.0:
            self._buckets[key] = (left, now)
            return (1.0 - left) / per_second
        if len(self._buckets) >= FORGET_ABOVE:
            self._buckets.clear()  # everybody starts full again; nobody is refused for it
        self._buckets[key] = (left - 1.0, now)
        return 0.0
