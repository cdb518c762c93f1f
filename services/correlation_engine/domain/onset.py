"""When did the trouble begin: the first step of the run of surprising steps that the alert belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from services.correlation_engine.domain import stats, steps
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import FloatArray, Telemetry, Window

LOOK_BACK = timedelta(minutes=15)  # alerts fire some minutes late, seldom more
BASELINE = timedelta(minutes=60)
GUARD_STEPS = 1
SURPRISING = 1.25  # times anything in the reference
UNSEEN = timedelta(minutes=2)  # how late an alert is when nothing shows when the trouble began
JOIN_GAP = 2  # elevated steps at most this far apart belong to one run


def find_window(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> Window | None:
    """Return the incident window and its baseline; None when the grid has no room for a baseline.

    The window ends with what the affected services suffer, when that is over: recovery says nothing about the cause.
    """
    grid = telemetry.grid
    onset, end = estimate(telemetry, affected, started_at)
    stop = onset - GUARD_STEPS
    start = max(0, stop - max(1, BASELINE // grid.step))
    if stop - start < stats.MIN_BASELINE_STEPS or onset >= grid.length:
        return None
    return Window(grid, slice(start, stop), slice(onset, end))


@dataclass(frozen=True, slots=True)
class _Run:
    """Surprising steps in a row, gaps allowed: first, last and how surprising."""

    start: int
    last: int
    weight: float


def estimate(telemetry: Telemetry, affected: Collection[str], started_at: datetime) -> tuple[int, int]:
    """Return the step of the onset and the step after the end.

    The onset is where what the affected services show begins (when none is known, those that users reach), else where
    most of what they depend on turns, else where most series turn. When nothing turns, it is some minutes before the
    alert: alerts fire late.
    """
    grid = telemetry.grid
    alert = min(max(grid.index(started_at), 0), grid.length - 1)
    search = max(grid.index(started_at - LOOK_BACK), stats.MIN_BASELINE_STEPS)
    if search > alert:
        return alert, grid.length
    graph = CallGraph.of(telemetry.edges)
    affected = affected or {s.service for s in telemetry.services} - graph.callers.keys()
    below = graph.downstream(affected)
    runs: dict[int, list[_Run]] = {0: [], 1: [], 2: []}
    for service, row in zip(*steps.surprises(telemetry, slice(0, search)), strict=True):
        tier = 0 if service in affected else 1 if service in below else 2
        found = _run(row, search, alert, SURPRISING if tier else 1.0)
        if found:
            runs[tier].append(found)
    if runs[0]:
        return _elected(runs[0]), max(run.last for run in runs[0]) + 1
    counted = runs[1] or runs[2]
    return _elected(counted) if counted else max(search, alert - UNSEEN // grid.step), grid.length


def _elected(runs: list[_Run]) -> int:
    """Return the step at which most begins, the earlier one of equals.

    What begins a step later counts with it, at most twice what begins at the step itself: one early bird is no onset.
    """
    votes: dict[int, float] = {}
    for run in runs:
        votes[run.start] = votes.get(run.start, 0.0) + run.weight
    return min(votes, key=lambda step: (-votes[step] - min(2 * votes[step], votes.get(step + 1, 0.0)), step))


def _run(row: FloatArray, search: int, alert: int, least: float) -> _Run | None:
    """Return the earliest run of surprising steps that reaches the alert or lies after it."""
    start: int | None = None
    last = -JOIN_GAP - 1
    for step in (int(s) for s in np.flatnonzero(row >= least) if s >= search):
        if step - last > JOIN_GAP:
            if start is not None and last >= alert - JOIN_GAP:
                break
            start = step
        last = step
    if start is None or last < alert - JOIN_GAP:
        return None
    return _Run(start, last, float(row[start : last + 1].max()))
