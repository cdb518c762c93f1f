"""Which stretch of time a page shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow, floor_minute
from services.console.domain.models import Incident

BEFORE_ONSET = timedelta(minutes=30)
AFTER_ONSET = timedelta(minutes=30)
AFTER_END = timedelta(minutes=5)
LONGEST_AFTER_ONSET = timedelta(hours=3)
DEPLOYS_BEFORE_ONSET = timedelta(hours=2)
DEFAULT_SERVICE_WINDOW = timedelta(hours=1)
LONGEST_AGO = timedelta(days=3660)
_YEARS = (1970, 2500)  # far enough from where dates end for adding to them
SPAN = "^[1-9][0-9]{0,8}[smhdw]$"  # as a pattern for others
_SPAN = re.compile("([1-9][0-9]{0,8})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TOO_LONG = 2 * LONGEST_AGO // timedelta(seconds=1)
LONGEST = timedelta(hours=24)  # minute by minute, more is no chart any more


def around_onset(incident: Incident, onset: datetime, now: datetime) -> TimeWindow:
    """Return the window of an incident's charts: half an hour before onset, then up to its end, or to now."""
    reached = (incident.resolved_at + AFTER_END) if incident.resolved_at else now
    end = min(max(reached, onset + AFTER_ONSET), onset + LONGEST_AFTER_ONSET, now)
    start = floor_minute(onset - BEFORE_ONSET)
    return TimeWindow(start, max(floor_minute(end) + timedelta(minutes=1), start + timedelta(minutes=5)))


def troubled(incident: Incident, onset: datetime, shown: TimeWindow, now: datetime) -> TimeWindow:
    """Return the whole minutes of a shown window in which the trouble lasted: what the service map counts."""
    start = max(floor_minute(onset), shown.start)
    end = floor_minute(min(incident.resolved_at or now, shown.end))
    return TimeWindow(start, max(end, start + timedelta(minutes=1)))


def before(window: TimeWindow, length: timedelta) -> TimeWindow:
    """Return the time before a window that it is compared with."""
    return TimeWindow(window.start - length, window.start)


def for_deploys(shown: TimeWindow) -> TimeWindow:
    """Return the window in which a deploy may explain what a shown window holds."""
    return TimeWindow(shown.start + BEFORE_ONSET - DEPLOYS_BEFORE_ONSET, shown.end)


def asked(start: str, end: str, now: datetime) -> TimeWindow:
    """Return the window a link asks for; raises InvalidInput with reason `bad_time` or `bad_window`.

    Times are RFC 3339 or Unix seconds or milliseconds. The end is now when not given, the start an hour before the end.
    """
    until = instant("to", end) if end else floor_minute(now) + timedelta(minutes=1)
    since = instant("from", start) if start else until - DEFAULT_SERVICE_WINDOW
    if not since < until:
        raise InvalidInput("bad_window", "The time window must end after it starts.")
    if until - since > LONGEST:
        raise InvalidInput("bad_window", "The time window is too long: at most 24 hours are shown.")
    return TimeWindow(since, until)


def instant(name: str, text: str) -> datetime:
    """Return the instant that the parameter `name` of a link gives; raises InvalidInput with reason `bad_time`."""
    try:
        at = _instant(text)
        if not _YEARS[0] <= at.year < _YEARS[1]:
            raise ValueError("out of reach")
        return at
    except (ValueError, OverflowError, OSError) as exc:
        raise InvalidInput(
            "bad_time", f"{name} is not a time: {text[:40]!r}. Use RFC 3339, such as 2026-01-31T14:05:00Z."
        ) from exc


def _instant(text: str) -> datetime:
    if text.isascii() and text.isdigit():
        number = int(text)
        return datetime.fromtimestamp(number / 1000 if number >= 10**11 else number, UTC)
    at = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped + in a query arrives as a space
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def span(name: str, text: str) -> timedelta:
    """Return the length that the parameter `name` gives, such as `90m`; raises InvalidInput with reason `bad_span`."""
    found = _SPAN.fullmatch(text)
    length = timedelta(seconds=min(int(found[1]) * _SECONDS[found[2]], _TOO_LONG)) if found else timedelta(0)
    if not timedelta(0) < length <= LONGEST_AGO:
        raise InvalidInput(
            "bad_span",
            f"{name} is not a length of time: {text[:40]!r}. Use a whole number with s, m, h, d or w, such as 24h; "
            f"at most {LONGEST_AGO.days}d.",
        )
    return length
