from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.timewindow import TimeWindow
from services.console.domain import charts
from services.console.domain.charts import Marker, Measure, Point

START = datetime(2026, 1, 31, 14, 0, tzinfo=UTC)
HOUR = TimeWindow(START, START + timedelta(hours=1))


def at(minute: float) -> datetime:
    return START + timedelta(minutes=minute)


def drawn(points: list[Point], markers: list[Marker] | None = None, measure: Measure = Measure.LATENCY) -> charts.Chart:
    return charts.draw("Latency", measure, points, HOUR, markers or [])


def test_points_span_the_plot_from_zero_to_a_round_top() -> None:
    chart = drawn([Point(at(0), 0), Point(at(1), 450)])
    x = round(charts.LEFT + (charts.RIGHT - charts.LEFT) / 60, 1)
    top = charts.BOTTOM - (charts.BOTTOM - charts.TOP) * 0.9
    assert chart.line == f"M{charts.LEFT} {charts.BOTTOM}L{x} {round(top, 1)}"
    assert [t.label for t in chart.y_ticks] == ["0 ms", "250 ms", "500 ms"]


def test_minutes_without_data_break_the_line_instead_of_being_joined() -> None:
    chart = drawn([Point(at(0), 1), Point(at(1), 1), Point(at(5), 1), Point(at(6), 1)])
    assert chart.line.count("M") == 2


def test_a_lone_minute_is_a_dot() -> None:
    assert drawn([Point(at(3), 1)]).line.endswith("h0")


def test_a_chart_without_points_says_so() -> None:
    chart = drawn([])
    assert chart.line == ""
    assert chart.description == "No data from 14:00 to 15:00 UTC."


def test_points_and_markers_outside_the_window_are_left_out() -> None:
    chart = drawn([Point(at(-1), 5), Point(at(60), 5)], [Marker(at(61), "late", "deploy")])
    assert (chart.line, chart.markers) == ("", ())


def test_the_description_tells_before_and_peak() -> None:
    points = [Point(at(n), 20.0) for n in range(10)] + [Point(at(12), 480.0)]
    chart = drawn(points, [Marker(at(10), "onset", "onset")])
    assert chart.description == "From 14:00 to 15:00 UTC: typically 20 ms before onset, highest 480 ms at 14:12."


@pytest.mark.parametrize(
    ("highest", "measure", "top"),
    [(0, Measure.LATENCY, 1), (450, Measure.LATENCY, 500), (500, Measure.LATENCY, 500), (501, Measure.LATENCY, 1000),
     (0.0001, Measure.ERROR_RATIO, 0.01), (0.31, Measure.ERROR_RATIO, 0.5), (1.0, Measure.ERROR_RATIO, 1.0)],
)  # fmt: skip
def test_the_axis_ends_at_a_round_number_and_never_makes_noise_a_mountain(
    highest: float, measure: Measure, top: float
) -> None:
    assert charts.nice_top(highest, measure) == pytest.approx(top)


def test_labels_of_close_markers_do_not_cover_each_other() -> None:
    markers = [Marker(at(n), f"payments v2.{n}.0", "deploy") for n in (28, 29, 30)] + [Marker(at(31), "onset", "onset")]
    placed = drawn([Point(at(0), 1)], markers).markers
    assert [m.kind for m in placed] == ["deploy", "deploy", "deploy", "onset"]
    assert placed[-1].text == "onset"
    assert sum(bool(m.text) for m in placed) == 2  # the others keep their line and their title
    assert all(m.label for m in placed)


@pytest.mark.parametrize(
    ("onset", "deploys", "drawn_at"),
    [
        (10, [], 10),
        (10, [10.0], 10),
        (10, [9.9, 10.4, 10.9, 11.1], 10.9),
        (10, [11], 10),
        (10.5, [10.9], 10.5),  # an alert's time is known to the second
    ],
)
def test_the_onset_is_drawn_after_deploys_within_its_minute(
    onset: float, deploys: list[float], drawn_at: float
) -> None:
    markers = [Marker(at(onset), "onset", "onset"), *(Marker(at(n), "v2", "deploy") for n in deploys)]
    chart = drawn([Point(at(n), 20.0 if n < onset else 480.0) for n in range(20)], markers)
    (line,) = (m for m in chart.markers if m.kind == "onset")
    assert line.x == round(charts.LEFT + (charts.RIGHT - charts.LEFT) * drawn_at / 60, 1)
    within = [m for m in chart.markers if m.kind == "deploy" and m.x > line.x]
    assert len(within) == sum(n >= onset + 1 or drawn_at < n for n in deploys)
    assert "typically 20 ms before onset, highest 480 ms" in chart.description


def test_time_ticks_are_few_and_round() -> None:
    assert [t.label for t in drawn([]).x_ticks] == ["14:00", "14:15", "14:30", "14:45"]
    day = TimeWindow(START, START + timedelta(days=3))
    assert [t.label for t in charts.draw("", Measure.RATE, [], day, []).x_ticks] == ["01 Feb", "02 Feb", "03 Feb"]
