"""Train Ticket outages in the Nezha layout: spans and logs around each fault, pod metrics all day.

Spans and logs exist for one fault-free minute a day and for about three minutes around a fault, of which the first
ends before the fault begins. The baseline minutes the engine needs are resampled with replacement: each from the
traces of one quiet minute, which is the day's fault-free one or the first recorded one of another case of the day.
From a case's first recorded minute on everything is as recorded; its own first minute is never in its baseline's
pool, so that it can also serve as a quiet time.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from datetime import datetime, timedelta
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


def cases(folder: Path) -> Iterator[Case]:
    """Yield each fault, and for each the recorded time before it as a quiet one."""
    described = json.loads((folder / "cases.json").read_text())
    for case in described:
        pool = [_free(folder / case["day"])]
        pool += [_first_minute(folder, o) for o in described if o["day"] == case["day"] and o["id"] != case["id"]]
        yield from _case(folder, case, [p for p in pool if p.calls])


def _case(folder: Path, described: dict[str, Any], pool: list[Recording]) -> Iterator[Case]:
    day = folder / described["day"]
    injected = datetime.fromisoformat(described["inject_time_utc"])
    onset = injected.replace(second=0, microsecond=0)
    recorded = _recorded(day, described["minutes"])
    yield Case(
        NAME, described["id"], described["fault"], described["service"],
        _telemetry(day, described["id"], recorded, onset, recorded.end, pool), (), onset,
    )  # fmt: skip
    if recorded.start + timedelta(seconds=20) < injected:
        before = recorded.start.replace(second=0, microsecond=0)
        telemetry = _telemetry(day, described["id"], recorded, before, injected, pool)
        yield Case(NAME, f"{described['id']}-before", FAULT_FREE, "", telemetry, (), before)


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
