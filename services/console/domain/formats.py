"""Numbers and instants as people read them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

NO_VALUE = "–"
_LOG_LEVELS = ((21, "fatal"), (17, "error"), (13, "warn"), (9, "info"), (5, "debug"), (1, "trace"))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def absolute(instant: datetime) -> str:
    """Return an instant as `2026-01-31 14:05:09 UTC`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(instant: datetime) -> str:
    """Return an instant as `2026-01-31T14:05:09Z`, for attributes and links."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(instant: datetime) -> str:
    """Return the time of day in UTC as `14:05:09`."""
    return instant.astimezone(UTC).strftime("%H:%M:%S")


def minute(instant: datetime) -> str:
    """Return the time of day in UTC as `14:05 UTC`."""
    return instant.astimezone(UTC).strftime("%H:%M UTC")


def duration(span: timedelta) -> str:
    """Return a length in its two largest units: `12 s`, `42 min`, `3 h 5 min`, `2 d 4 h`."""
    seconds = int(abs(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} d {hours % 24} h" if hours % 24 else f"{days} d"


def relative(instant: datetime, now: datetime) -> str:
    """Return how long ago an instant was: `just now`, `3 min ago`, `in 2 min`."""
    span = now - instant
    if abs(span) < timedelta(seconds=5):
        return "just now"
    return f"{duration(span)} ago" if span > timedelta(0) else f"in {duration(span)}"


def offset(instant: datetime, origin: datetime) -> str:
    """Return an instant as its distance from another: `+4 min`, `−12 s`."""
    sign = "+" if instant >= origin else "−"
    return sign + duration(instant - origin)


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
    """Return a ratio as a percentage: `3.2 %`, `< 0.1 %`."""
    if ratio is None or not math.isfinite(ratio):
        return NO_VALUE
    if 0 < ratio < 0.001:
        return "< 0.1 %"
    value = round(ratio * 100, 1)
    return f"{value:.0f} %" if value >= 10 or value == int(value) else f"{value:.1f} %"


def size(value: float) -> str:
    """Return a number of bytes in binary units: `3.5 MiB`."""
    step = 0
    while abs(value) >= 1024 and step < len(_BYTES) - 1:
        value, step = value / 1024, step + 1
    return f"{significant(value)} {_BYTES[step]}"


def quantity(value: float, unit: str) -> str:
    """Return a value in a UCUM unit as OpenTelemetry writes them: `ms`, `s`, `1`, `By`, `{error}`, `{error}/min`."""
    if unit in _TIMES:
        return milliseconds(value * _TIMES[unit])
    if unit == "1":
        return percent(value)
    if unit == "%":
        return percent(value / 100)
    if unit == "By":
        return size(value)
    return f"{significant(value)} {_spoken(unit)}".strip()


_TIMES = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4}


def _spoken(unit: str) -> str:
    """Return a UCUM annotation as people say it: `{record}/min` is `records/min`."""
    return re.sub(r"\{([^{}]*)\}", r"\1s", unit)


def log_level(severity_number: int) -> str:
    """Return the name of an OpenTelemetry severity number, empty for 0."""
    return next((name for least, name in _LOG_LEVELS if severity_number >= least), "")


def safe_url(url: str) -> str:
    """Return a link if it is safe to follow, an http(s) address or a path on this site; else an empty string."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if parts.scheme in ("http", "https") and parts.netloc:
        return url.strip()
    on_this_site = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    return url.strip() if on_this_site and "\\" not in url else ""
