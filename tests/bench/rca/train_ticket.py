"""Train Ticket outages in the Nezha layout: spans and logs around each fault, pod metrics all day.

Spans and logs exist for one fault-free minute a day and for about three minutes around a fault, of which the first
mostly ends before the fault shows. The baseline minutes the engine needs are resampled with replacement: each from the
traces of one minute, which is the day's fault-free one or the first recorded one of another case of the day. Some of
these already show their own fault, for the written injection times are up to a minute late; a baseline has to bear
that. From a case's first recorded minute on everything is as recorded.

Quiet times are the fault-free minute, over a baseline of the first minutes, and times after a day's last fault, of
which there are pod metrics only.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from services.correlation_engine.domain.model import Grid, Telemetry
from tests.bench.rca import pods
from tests.bench.rca.case import FAULT_FREE, Case
from tests.bench.rca.recording import Recording, read_recording
from tests.bench.rca.rollup import Rollup, merged

NAME = "train_ticket"
FOLDER = "nezha_train_ticket"
HISTORY = timedelta(minutes=80)
RECORDED = timedelta(minutes=4)
APART = timedelta(minutes=20)  # a quiet time and what it is compared with begin at least this long after a fault
QUIET_EVERY = timedelta(minutes=30)


def cases(folder: Path) -> Iterator[Case]:
    """Yield each fault, and quiet times of the same days."""
    described = json.loads((folder / "cases.json").read_text())
    for case in described:
        others = [o for o in described if o["day"] == case["day"] and o["id"] != case["id"]]
        pool = [_free(folder / case["day"]), *(_first_minute(folder, o) for o in others)]
        yield _case(folder / case["day"], case, pool)
    for name in sorted({d["day"] for d in described}):
        of_day = [d for d in described if d["day"] == name]
        yield _quiet_minute(folder / name, [_first_minute(folder, d) for d in of_day])
        yield from _quiet_metrics(folder / name, max(_minute(d) for d in of_day))


def _minute(described: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(described["inject_time_utc"]).replace(second=0, microsecond=0)


def _case(day: Path, described: dict[str, Any], pool: list[Recording]) -> Case:
    recorded, onset = _recorded(day, described["minutes"]), _minute(described)
    telemetry = _telemetry(day, described["id"], recorded, onset, recorded.end, pool)
    return Case(NAME, described["id"], described["fault"], described["service"], telemetry, (), onset)


def _quiet_minute(day: Path, pool: list[Recording]) -> Case:
    free = _free(day)
    onset = free.start.replace(second=0, microsecond=0)
    name = f"{day.name}-fault-free"
    return Case(NAME, name, FAULT_FREE, "", _telemetry(day, name, free, onset, free.end, pool), (), onset)


def _quiet_metrics(day: Path, last_fault: datetime) -> Iterator[Case]:
    end = datetime.fromtimestamp(max(pod.taken[-1] for pod in _pods(day)), UTC)
    at = last_fault + APART + HISTORY
    while at + RECORDED < end:
        grid = Grid(at - HISTORY, at + RECORDED)
        telemetry = Telemetry(grid, gauges=pods.gauges(grid, _pods(day)))
        yield Case(NAME, f"{day.name}-quiet-{at:%H%M}", FAULT_FREE, "", telemetry, (), at)
        at += QUIET_EVERY


def _recorded(day: Path, minutes: list[str]) -> Recording:
    traces = [day / "trace" / f"{m}_trace.csv" for m in minutes]
    logs = [day / "log" / f"{m}_log.csv" for m in minutes]
    return read_recording(traces, logs)


@lru_cache(maxsize=2)
def _free(day: Path) -> Recording:
    free = day / "fault_free"
    return read_recording(sorted((free / "trace").glob("*.csv")), sorted((free / "log").glob("*.csv")))


def _first_minute(folder: Path, described: dict[str, Any]) -> Recording:
    return _before(folder / described["day"], described["minutes"][0], described["inject_time_utc"])


@lru_cache(maxsize=64)
def _before(day: Path, minute: str, injected: str) -> Recording:
    return _recorded(day, [minute]).until(datetime.fromisoformat(injected))


@lru_cache(maxsize=2)
def _pods(day: Path) -> list[pods.Pod]:
    return pods.pods(day / "metric")


def _telemetry(
    day: Path, seed: str, recorded: Recording, onset: datetime, end: datetime, pool: list[Recording]
) -> Telemetry:
    grid = Grid(onset - HISTORY, end)
    first = grid.index(recorded.start)
    rng = np.random.default_rng(zlib.crc32(seed.encode()))
    usual = Rollup(grid)
    usual.resample(pool, range(first), rng)
    real = Rollup(grid)
    real.add(recorded.until(end))
    services, edges, signatures, transitions = merged(usual, real)
    return Telemetry(grid, services, edges, signatures, pods.gauges(grid, _pods(day)), transitions=transitions)
