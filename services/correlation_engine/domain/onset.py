"""When did the trouble begin: the first step of the run of surprising steps that the alert belongs to."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import numpy as np

from services.correlation_engine.domain import stats, steps
from services.correlation_engine.domain.model import FloatArray, Telemetry, Window

LOOK_BACK = timedelta(minutes=15)  # alerts fire some minutes late, seldom more
BASELINE = timedelta(minutes=60)
GUARD_STEPS = 1
SURPRISING = 1.25  # times anything in the reference
UNSEEN = timedelta(minutes=2)  # how late an alert is when nothing shows when the trouble began
JOIN_GAP = 2  # elevated steps at most this far apart belong to one run


def find_window(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> Window | None:
    """Return the incident window and its baseline; None when the grid has no room for a baseline."""
    grid = telemetry.grid
    onset = estimate_onset(telemetry, affected, started_at)
    stop = onset - GUARD_STEPS
    start = max(0, stop - max(1, BASELINE // grid.step))
    if stop - start < stats.MIN_BASELINE_STEPS or onset >= grid.length:
        return None
    return Window(grid, slice(start, stop), slice(onset, grid.length))


def estimate_onset(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> int:
    """Return the step of the onset: where what the affected services show begins, else where most series turn.

    When nothing turns, the onset is some minutes before the alert: alerts fire late.
    """
    grid = telemetry.grid
    alert = min(max(grid.index(started_at), 0), grid.length - 1)
    search = max(grid.index(started_at - LOOK_BACK), stats.MIN_BASELINE_STEPS)
    votes: dict[bool, dict[int, float]] = {True: {}, False: {}}
    if search < grid.length:
        for service, row in zip(*steps.surprises(telemetry, slice(0, search)), strict=True):
            onset = _run_start(row, search, alert)
            if onset is not None:
                counted = votes[service in affected]
                counted[onset] = counted.get(onset, 0.0) + float(row[onset:].max())
    counted = votes[True] or votes[False]
    return _elected(counted) if counted else max(search, alert - UNSEEN // grid.step)


def _elected(votes: dict[int, float]) -> int:
    """Return the step with the most votes, those of the step after it included, the earlier one of equals."""
    return min(votes, key=lambda step: (-votes[step] - votes.get(step + 1, 0.0), step))


def _run_start(row: FloatArray, search: int, alert: int) -> int | None:
    """Return the first step of the earliest run of surprising steps that reaches the alert or lies after it."""
    found = [int(s) for s in np.flatnonzero(row >= SURPRISING) if s >= search]
    start: int | None = None
    last = -JOIN_GAP - 1
    for step in found:
        if step - last > JOIN_GAP:
            if start is not None and last >= alert - JOIN_GAP:
                return start
            start = step
        last = step
    return start if start is not None and last >= alert - JOIN_GAP else None
