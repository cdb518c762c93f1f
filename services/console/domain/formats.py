"""Numbers and instants as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from libs.kernel.quantities import significant

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


def size(value: float) -> str:
    """Return a number of bytes in binary units: `3.5 MiB`."""
    step = 0
    while abs(value) >= 1024 and step < len(_BYTES) - 1:
        value, step = value / 1024, step + 1
    return f"{significant(value)} {_BYTES[step]}"


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
