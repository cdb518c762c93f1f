"""Durations as Prometheus writes them, such as `5m` or `1h30m`."""

from __future__ import annotations

import re
from datetime import timedelta

SHAPE = re.compile(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
MILLISECONDS = (365 * 86_400_000, 7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000, 1)
LONGEST = timedelta(days=10 * 365)


def parse_duration(written: str) -> timedelta:
    """Return a duration; raises ValueError saying what is expected. `0` needs no unit."""
    if written == "0":
        return timedelta()
    match = SHAPE.fullmatch(written)
    if not written or match is None or len(written) > 40:
        raise ValueError(f"not a duration: {written[:40]!r} (write it like 30s, 5m or 1h30m)")
    milliseconds = sum(int(n) * unit for n, unit in zip(match.groups("0"), MILLISECONDS, strict=True))
    if milliseconds > LONGEST / timedelta(milliseconds=1):
        raise ValueError(f"longer than ten years: {written!r}")
    return timedelta(milliseconds=milliseconds)
