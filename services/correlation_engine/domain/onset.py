"""When did the trouble begin: the first step of the run of clearly elevated steps that the alert belongs to."""

from __future__ import annotations

import math
from collections.abc import Collection
from datetime import datetime, timedelta

import numpy as np

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import FloatArray, Grid, ServiceSeries, Telemetry, Window

LOOK_BACK = timedelta(minutes=15)  # alerts fire some minutes late, seldom more
BASELINE = timedelta(minutes=60)
GUARD_STEPS = 1
ELEVATED_Z = 5.0
JOIN_GAP = 2  # elevated steps at most this far apart belong to one run


def find_window(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> Window | None:
    """Return the incident window and its baseline; None when the grid has no room for a baseline."""
    grid = telemetry.grid
    onset = estimate_onset(telemetry, affected, started_at)
    steps = max(1, BASELINE // grid.step)
    stop = onset - GUARD_STEPS
    start = max(0, stop - steps)
    if stop - start < stats.MIN_BASELINE_STEPS or onset >= grid.length:
        return None
    return Window(grid, slice(start, stop), slice(onset, grid.length))


def estimate_onset(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> int:
    """Return the step of the onset: from the affected services' errors and latency, else the step of `started_at`."""
    grid = telemetry.grid
    alert = min(max(grid.index(started_at), 0), grid.length - 1)
    search = max(grid.index(started_at - LOOK_BACK), stats.MIN_BASELINE_STEPS)
    onsets = [
        onset
        for series in telemetry.services
        if series.service in affected
        and (onset := _run_start(_elevated(series, search, grid), search, alert)) is not None
    ]
    return min(onsets, default=alert)


def _elevated(series: ServiceSeries, search: int, grid: Grid) -> FloatArray:
    """Return per step the larger robust z of error ratio and mean latency against the steps before the search."""
    reference = Window(grid, slice(0, search), slice(search, grid.length))
    return np.fmax(
        _step_z(series.errors, series.requests, reference, proportion=True),
        _step_z(series.duration_ms, series.requests, reference, proportion=False),
    )


def _step_z(total: FloatArray, count: FloatArray, reference: Window, proportion: bool) -> FloatArray:
    compare = stats.proportion_shift if proportion else stats.mean_shift
    z = np.full(count.shape, math.nan)
    for step in range(reference.incident.start, count.size):
        shift = compare(total, count, Window(reference.grid, reference.baseline, slice(step, step + 1)))
        z[step] = math.nan if shift is None else shift.z
    return z


def _run_start(z: FloatArray, search: int, alert: int) -> int | None:
    """Return the first step of the earliest run of elevated steps that reaches the alert or lies after it."""
    steps = [int(s) for s in np.flatnonzero(z >= ELEVATED_Z) if s >= search]
    start: int | None = None
    last = -JOIN_GAP - 1
    for step in steps:
        if step - last > JOIN_GAP:
            if start is not None and last >= alert - JOIN_GAP:
                return start
            start = step
        last = step
    return start if start is not None and last >= alert - JOIN_GAP else None
