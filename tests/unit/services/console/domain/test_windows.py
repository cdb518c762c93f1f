from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.console.domain import windows
from services.console.domain.models import Incident, Severity, Status

NOW = datetime(2026, 1, 31, 14, 5, 9, tzinfo=UTC)


def incident(resolved_at: datetime | None = None) -> Incident:
    return Incident("i", "t", Status.OPEN, Severity.MAJOR, (), NOW, NOW, 1, resolved_at=resolved_at)


def test_charts_of_an_open_incident_reach_from_half_an_hour_before_onset_to_now() -> None:
    window = windows.around_onset(incident(), NOW - timedelta(minutes=20), NOW)
    assert window.start == datetime(2026, 1, 31, 13, 15, tzinfo=UTC)
    assert window.end == datetime(2026, 1, 31, 14, 6, tzinfo=UTC)


def test_charts_of_a_resolved_incident_end_shortly_after_it() -> None:
    onset = NOW - timedelta(hours=10)
    window = windows.around_onset(incident(resolved_at=onset + timedelta(minutes=50)), onset, NOW)
    assert window.end - onset <= timedelta(minutes=56)


def test_charts_of_a_long_incident_are_bounded() -> None:
    onset = NOW - timedelta(days=9)
    assert windows.around_onset(incident(), onset, NOW).duration <= timedelta(hours=3, minutes=32)


def test_an_onset_in_the_future_still_gives_a_window() -> None:
    assert windows.around_onset(incident(), NOW + timedelta(hours=2), NOW).duration > timedelta(0)


def test_the_map_counts_whole_minutes_from_onset_to_the_end() -> None:
    onset = NOW - timedelta(minutes=20)
    shown = windows.around_onset(incident(), onset, NOW)
    counted = windows.troubled(incident(), onset, shown, NOW)
    assert (counted.start, counted.end) == (NOW.replace(minute=45, hour=13, second=0), NOW.replace(second=0))
    over = windows.troubled(incident(NOW - timedelta(minutes=5)), onset, shown, NOW)
    assert over.end == NOW.replace(minute=0, second=0)


def test_trouble_of_this_minute_is_counted_in_it() -> None:
    shown = windows.around_onset(incident(), NOW, NOW)
    counted = windows.troubled(incident(), NOW, shown, NOW)
    assert (counted.start, counted.duration) == (NOW.replace(second=0), timedelta(minutes=1))


def test_a_window_is_compared_with_what_was_before_it() -> None:
    window = TimeWindow(NOW, NOW + timedelta(minutes=5))
    usual = windows.before(window, timedelta(minutes=30))
    assert (usual.start, usual.end) == (NOW - timedelta(minutes=30), NOW)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-01-31T13:00:00Z", "2026-01-31T14:00:00Z"),
        ("2026-01-31T14:00:00 01:00", "2026-01-31T15:00:00 01:00"),  # a + that was not escaped
        ("1769864400", "1769868000"),
        ("1769864400000", "1769868000000"),
        ("2026-01-31T13:00:00", "2026-01-31T14:00:00"),
        ("", "2026-01-31T14:00:00Z"),
    ],
)
def test_links_may_give_times_in_the_usual_ways(start: str, end: str) -> None:
    window = windows.asked(start, end, NOW)
    assert (window.start, window.end) == (datetime(2026, 1, 31, 13, tzinfo=UTC), datetime(2026, 1, 31, 14, tzinfo=UTC))


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        ("yesterday", "", "bad_time"),
        ("9" * 40, "", "bad_time"),
        ("-1", "", "bad_time"),
        ("2026-01-31T14:00:00Z", "2026-01-31T13:00:00Z", "bad_window"),
        ("2025-01-31T14:00:00Z", "2026-01-31T13:00:00Z", "bad_window"),
        ("\x00", "", "bad_time"),
        ("", "0001-01-01T00:00:00Z", "bad_time"),
        ("", "9999-12-31T23:59:59Z", "bad_time"),
    ],
)
def test_impossible_windows_are_refused_with_the_reason(start: str, end: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        windows.asked(start, end, NOW)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("24h", timedelta(days=1)),
        ("3660d", timedelta(days=3660)),
        ("2w", timedelta(days=14)),
    ],
)
def test_lengths_of_time_are_a_number_and_a_unit(text: str, length: timedelta) -> None:
    assert windows.span("last", text) == length


@pytest.mark.parametrize(
    "text", ["", "h", "24", "0h", "-1h", "1.5h", "24 h", "3661d", "999999999w", "9" * 40 + "s", "٣h", "1y"]
)
def test_other_lengths_of_time_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"last is not a length of time.*such as 24h; at most 3660d") as refused:
        windows.span("last", text)
    assert refused.value.reason == "bad_span"
