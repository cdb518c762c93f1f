"""The bench of the ranking: strictness, baselines, and what it says without data."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from services.correlation_engine.domain.model import Gauge, Grid, ServiceSeries, Telemetry
from tests.bench.rca import baselines, measure, pods, recording

GRID = Grid(datetime(2026, 3, 2, 10, 0, tzinfo=UTC), datetime(2026, 3, 2, 11, 0, tzinfo=UTC))
ONSET = 50


def series(name: str, ms: float) -> ServiceSeries:
    """Return a service whose requests take 20 ms, and another time after the onset."""
    requests = np.full(GRID.length, 100.0)
    each = np.where(np.arange(GRID.length) < ONSET, 20.0 + np.arange(GRID.length) % 3, ms)
    return ServiceSeries(name, requests, GRID.zeros(), requests * each, each)


def test_a_missing_folder_is_said_in_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench.rca", "--data", str(tmp_path / "nothing")]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "no recorded outages" in ended.stderr


@pytest.mark.parametrize(
    ("scores", "place"),
    [
        ({"cause": 3.0, "a": 2.0}, 1),
        ({"cause": 2.0, "a": 2.0, "b": 2.0}, 3),
        ({"cause": 0.0, "a": 0.0}, measure.MISS),
        ({"a": 1.0}, measure.MISS),
    ],
    ids=["first", "ties go against it", "no score is no rank", "not ranked"],
)
def test_places_are_strict(scores: dict[str, float], place: int) -> None:
    assert measure.rank(scores, "cause") == place


def test_a_blind_guess_has_its_chance_of_every_place() -> None:
    outcome = measure.Outcome("c", "f", measure.uniform(10))

    assert outcome.within(1) == pytest.approx(0.1)
    assert outcome.within(3) == pytest.approx(0.3)
    assert outcome.avg5 == pytest.approx(0.3)


def test_calibration_error_is_the_distance_between_claim_and_truth() -> None:
    right, wrong = {1: 1.0}, {2: 1.0}
    sure = [measure.Outcome("c", "f", right, 0.9)] * 9 + [measure.Outcome("c", "f", wrong, 0.9)]

    assert measure.calibration_error(sure) == pytest.approx(0.0)
    assert measure.calibration_error([measure.Outcome("c", "f", wrong, 1.0)] * 4) == pytest.approx(1.0)


@pytest.mark.parametrize("method", baselines.METHODS)
def test_every_baseline_finds_the_one_service_that_changed(method: str) -> None:
    telemetry = Telemetry(GRID, (series("calm", 21.0), series("slow", 400.0), series("other", 22.0)))

    scores = baselines.METHODS[method](telemetry, ONSET)

    assert max(scores, key=lambda n: scores[n]) == "slow"


def test_baselines_bear_missing_values() -> None:
    gauge = Gauge("app", "container.cpu.utilization", "1", np.full(GRID.length, np.nan))

    for method in baselines.METHODS.values():
        assert method(Telemetry(GRID, gauges=(gauge,)), ONSET).keys() == {"app"}


def test_a_statement_is_what_names_a_line_else_what_does_not_vary() -> None:
    assert (
        recording.signature("16:42:22.382 INFO t.s.TravelServiceImpl#532 TraceID: ab got 7")
        == "t.s.TravelServiceImpl#532"
    )
    assert recording.signature("took 15 ms for 550e8400-e29b-41d4-a716-446655440000") == "took <*> ms for <*>"


def test_readings_land_on_the_minute_they_were_taken_in() -> None:
    table = {"Time": ["2026-03-02 10:02:09.9 +0000 UTC m=+1", "2026-03-02 12:00:00.0 +0000 UTC m=+2"], "x": ["5", "6"]}

    laid = pods.on_grid(GRID, pods.taken_at(table), table["x"])

    assert laid[2] == 5
    assert np.isnan(np.delete(laid, 2)).all()
    assert GRID.step == timedelta(minutes=1)
