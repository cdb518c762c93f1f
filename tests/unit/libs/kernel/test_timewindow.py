"""Half-open windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.timewindow import TimeWindow, floor_minute

NOW = datetime(2026, 3, 1, 12, 0, 30, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_window_holds_its_start_and_not_its_end() -> None:
    window = TimeWindow(NOW, NOW + MINUTE)

    assert window.contains(NOW)
    assert not window.contains(NOW + MINUTE)
    assert window.duration == MINUTE


def test_windows_that_only_touch_do_not_overlap() -> None:
    first, second = TimeWindow(NOW, NOW + MINUTE), TimeWindow(NOW + MINUTE, NOW + 2 * MINUTE)

    assert not first.overlaps(second)
    assert first.overlaps(TimeWindow(NOW, NOW + 2 * MINUTE))


@pytest.mark.parametrize(
    ("start", "end"), [(NOW, NOW), (NOW, NOW - MINUTE), (NOW.replace(tzinfo=None), NOW.replace(tzinfo=None) + MINUTE)]
)
def test_an_empty_backward_or_naive_window_is_refused(start: datetime, end: datetime) -> None:
    with pytest.raises(ValueError, match="time window"):
        TimeWindow(start, end)


def test_a_minute_begins_at_its_first_microsecond() -> None:
    assert floor_minute(NOW) == datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
