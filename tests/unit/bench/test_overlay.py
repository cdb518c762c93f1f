"""Deploys put over recorded outages: where they go, and that nothing gives the guilty one away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.correlation_engine.domain.model import Grid, ServiceSeries, Telemetry
from tests.bench.rca import overlay
from tests.bench.rca.case import Case

GRID = Grid(datetime(2026, 3, 2, 10, 0, tzinfo=UTC), datetime(2026, 3, 2, 11, 10, tzinfo=UTC))
ONSET = GRID.instant(60)


def series(name: str) -> ServiceSeries:
    return ServiceSeries(name, GRID.zeros(), GRID.zeros(), GRID.zeros(), np.full(GRID.length, np.nan))


CASE = Case("set", "one", "cpu", "s3", Telemetry(GRID, tuple(series(f"s{n}") for n in range(9))), ("s0",), ONSET)


@pytest.mark.parametrize("number", range(10))
def test_the_guilty_deploy_is_at_the_cause_before_the_onset_and_the_innocent_ones_are_elsewhere(number: int) -> None:
    drawn = overlay.draw(CASE, True, 1, number)
    (own,) = [c for c in drawn.changes if c.id == drawn.guilty]
    others = [c for c in drawn.changes if c.id != drawn.guilty]
    assert own.service == CASE.cause
    assert timedelta(minutes=1) <= ONSET - own.started_at <= timedelta(minutes=6)
    assert len(others) == overlay.ELSEWHERE + overlay.COINCIDENT
    assert CASE.cause not in {c.service for c in others}
    assert all(ONSET - overlay.AROUND <= c.started_at <= GRID.end for c in others)
    assert list(drawn.changes) == sorted(drawn.changes, key=lambda c: c.started_at)


def test_without_the_guilty_deploy_the_innocent_ones_are_the_same() -> None:
    guilty, innocent = (overlay.draw(CASE, with_guilty, 1, 0) for with_guilty in (True, False))
    assert innocent.guilty == ""
    assert innocent.changes == tuple(c for c in guilty.changes if c.id != guilty.guilty)


def test_draws_differ_and_ids_have_one_shape() -> None:
    drawn = [overlay.draw(CASE, True, 1, number).changes for number in range(5)]
    assert len(set(drawn)) == 5
    assert {len(c.id) for changes in drawn for c in changes} == {16}
