"""Numbers as people read them, rounded in one way wherever they are told."""

from __future__ import annotations

import math

NO_VALUE = "–"


def significant(value: float) -> str:
    """Return a number with about three significant digits and thousands separators."""
    if not math.isfinite(value):
        return NO_VALUE
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"


def milliseconds(value: float | None) -> str:
    """Return a duration given in milliseconds: `320 µs`, `45 ms`, `1.24 s`, `2.5 min`."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    if 0 < abs(value) < 1:
        return f"{significant(value * 1000)} µs"
    if abs(value) < 1000:
        return f"{significant(value)} ms"
    if abs(value) < 120_000:
        return f"{significant(value / 1000)} s"
    return f"{significant(value / 60_000)} min"


def percent(ratio: float | None) -> str:
    """Return a ratio as a percentage: `3.2 %`, `49 %`, `< 0.1 %`."""
    if ratio is None or not math.isfinite(ratio):
        return NO_VALUE
    if 0 < ratio < 0.001:
        return "< 0.1 %"
    exact = ratio * 100
    short = f"{exact:.1f}"
    return f"{exact:.0f} %" if float(short) >= 10 else f"{short.removesuffix('.0')} %"


def confidence(probability: float) -> str:
    """Return how sure an answer is, in whole per cent: `94 %`. What is not certain is told as neither 0 nor 100 %."""
    whole = math.floor(probability * 100 + 0.5)
    if whole <= 0 < probability:
        return "< 1 %"
    return "> 99 %" if whole >= 100 and probability < 1 else f"{whole} %"
