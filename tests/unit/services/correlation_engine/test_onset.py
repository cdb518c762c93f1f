"""When the trouble began."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from services.correlation_engine.domain import onset
from services.correlation_engine.domain.model import Edge, FloatArray, Grid, Telemetry
from tests.unit.services.correlation_engine.builders import START, service

GRID = Grid(START, START + timedelta(minutes=85, seconds=20))


def telemetry(share: FloatArray) -> Telemetry:
    part = service("app")
    requests = np.full(GRID.length, 100.0)
    series = type(part)("app", requests, requests * share, requests * 20, requests)
    return Telemetry(GRID, (series,))


def shares(**steps: float) -> FloatArray:
    values = np.full(GRID.length, 0.01)
    for key, share in steps.items():
        first, last = (int(s) for s in key.removeprefix("m").split("_"))
        values[first : last + 1] = share
    return values


@pytest.mark.parametrize(
    ("steps", "alert_minute", "expected"),
    [
        ({"m82_85": 0.4}, 84, 82),
        ({"m82_85": 0.4}, 82, 82),
        ({"m82_85": 0.4}, 80, 82),
        ({"m75_85": 0.4}, 84, 75),
        ({"m72_73": 0.4, "m82_85": 0.4}, 84, 82),
        ({"m79_80": 0.4, "m82_85": 0.4}, 84, 79),
        ({}, 83, 81),
    ],
)
def test_the_onset_is_the_start_of_the_run_the_alert_belongs_to(
    steps: dict[str, float], alert_minute: int, expected: int
) -> None:
    started_at = START + timedelta(minutes=alert_minute, seconds=10)

    first, _end = onset.estimate(telemetry(shares(**steps)), ("app",), started_at)

    assert first == expected


def test_when_those_that_alerted_show_nothing_others_date_the_onset() -> None:
    started_at = START + timedelta(minutes=84)

    assert onset.estimate(telemetry(shares(m80_85=0.5)), ("other",), started_at) == (80, GRID.length)


def test_those_that_alerted_date_the_onset_before_others_do() -> None:
    early, late = telemetry(shares(m78_85=0.5)).services[0], telemetry(shares(m82_85=0.5)).services[0]
    both = Telemetry(GRID, (replace(early, service="other"), late))

    assert onset.estimate(both, ("app",), START + timedelta(minutes=84))[0] == 82


def test_the_window_ends_when_those_that_alerted_have_recovered() -> None:
    assert onset.estimate(telemetry(shares(m80_83=0.5)), ("app",), START + timedelta(minutes=84)) == (80, 84)


def test_the_window_has_an_hour_of_baseline_and_a_guard_minute() -> None:
    window = onset.find_window(telemetry(shares(m82_85=0.4)), ("app",), START + timedelta(minutes=84))

    assert window is not None
    assert window.onset == START + timedelta(minutes=82)
    assert window.end == GRID.end
    assert (window.baseline, window.incident) == (slice(21, 81), slice(82, 86))


def test_an_alert_dated_after_the_data_still_has_a_window() -> None:
    window = onset.find_window(telemetry(shares()), ("app",), GRID.end + timedelta(hours=1))

    assert window is not None
    assert window.incident == slice(85, 86)


def _services(**series: dict[str, float]) -> Telemetry:
    parts = (replace(telemetry(shares(**steps)).services[0], service=name) for name, steps in series.items())
    return Telemetry(GRID, tuple(parts))


def test_when_nobody_alerted_the_services_that_users_reach_date_the_onset() -> None:
    world = _services(front={"m82_85": 0.4}, deep={"m78_85": 0.5}, other={"m78_85": 0.5})
    made = np.full(GRID.length, 100.0)
    calls = tuple(Edge("front", n, "rpc", False, made, *4 * (0 * made,)) for n in ("deep", "other"))

    assert onset.estimate(replace(world, edges=calls), (), START + timedelta(minutes=84))[0] == 82


def test_one_that_is_early_does_not_date_the_onset_of_many() -> None:
    many = {name: {"m80_85": 0.5} for name in ("b", "c", "d")}

    assert onset.estimate(_services(a={"m79_85": 0.2}, **many), ("x",), START + timedelta(minutes=84))[0] == 80
    assert onset.estimate(_services(a={"m79_85": 0.5}, b=many["b"]), ("x",), START + timedelta(minutes=84))[0] == 79
