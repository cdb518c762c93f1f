"""Online Boutique outages in the Nezha layout: pod metrics, the call graph and median latencies of each call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from services.correlation_engine.domain.model import Edge, FloatArray, Grid, ServiceSeries, Telemetry
from tests.bench.rca import pods
from tests.bench.rca.case import FAULT_FREE, Case

NAME = "online_boutique"
FOLDER = "nezha_online_boutique"
HISTORY = timedelta(minutes=80)
RECORDED = timedelta(minutes=4)  # a fault lasts about three minutes from some second of its first
APART = timedelta(minutes=20)  # a quiet time is at least this far from any fault
QUIET_EVERY = timedelta(minutes=30)


def cases(folder: Path) -> Iterator[Case]:
    """Yield each fault, and quiet times of the same days."""
    described = json.loads((folder / "cases.json").read_text())
    for day in sorted({d["day"] for d in described}):
        recorded = _Day(folder / day / "metric")
        injected = []
        for case in (d for d in described if d["day"] == day):
            onset = datetime.fromisoformat(case["inject_time_utc"]).replace(second=0, microsecond=0)
            injected.append(onset)
            telemetry = recorded.telemetry(onset)
            yield Case(NAME, case["id"], case["fault"], case["service"], telemetry, (), onset)
        yield from _quiet(recorded, injected)


def _quiet(recorded: _Day, injected: list[datetime]) -> Iterator[Case]:
    """Yield times after the day's last fault: the part of the set that is not here lies between the others."""
    at = max(injected) + APART + HISTORY
    while at + RECORDED < recorded.end:
        yield Case(NAME, f"quiet-{at:%H%M}", FAULT_FREE, "", recorded.telemetry(at), (), at)
        at += QUIET_EVERY


class _Day:
    """One day's tables."""

    def __init__(self, folder: Path) -> None:
        self._pods = pods.pods(folder)
        graph = pods.read_table(folder / "dependency.csv")
        self._source = pods.read_table(folder / "source_50.csv")
        self._destination = pods.read_table(folder / "destination_50.csv")
        known = {pod.service for pod in self._pods}
        calls = set(zip(graph["Source"], graph["Target"], strict=True))
        calls |= {(caller, callee) for caller, _, callee in (column.partition("_") for column in self._source)}
        self._front = pods.read_table(folder / "front_service.csv")
        self._calls = sorted((caller, callee) for caller, callee in calls if caller in known and callee in known)
        self.end = datetime.fromtimestamp(max(pod.taken[-1] for pod in self._pods), UTC)

    def telemetry(self, onset: datetime) -> Telemetry:
        """Return the telemetry until a few minutes after an onset."""
        grid = Grid(onset - HISTORY, onset + RECORDED)
        requests = {
            pod.service: 60 * pods.on_grid(grid, pod.taken, pod.table["PodWorkload(Ops)"]) for pod in self._pods
        }
        edges = self._edges(grid, requests)
        seen = 1000 * pods.on_grid(grid, pods.taken_at(self._front), self._front["LatencyP50(s)"])
        succeeded = pods.on_grid(grid, pods.taken_at(self._front), self._front["SuccessRate(%)"])
        services = _services(grid, requests, edges, _Entry(seen, 1 - succeeded / 100))
        return Telemetry(grid, services, edges, (), pods.gauges(grid, self._pods))

    def _edges(self, grid: Grid, requests: dict[str, FloatArray]) -> tuple[Edge, ...]:
        """Return each call with its median latency at both ends; a callee's requests are shared out by its callers."""
        built = []
        for caller, callee in self._calls:
            shares = [np.nan_to_num(requests[c]) for c, d in self._calls if d == callee]
            total = np.maximum(sum(shares), 1e-9)
            made = np.nan_to_num(requests[callee]) * np.nan_to_num(requests[caller]) / total
            client = self._milliseconds(self._source, f"{caller}_{callee}", grid)
            server = self._milliseconds(self._destination, f"{caller}_{callee}", grid)
            made = np.where(np.isfinite(client) & np.isfinite(server), np.maximum(made, 1.0), 0.0)
            zeros = grid.zeros()
            built.append(
                Edge(
                    caller,
                    callee,
                    "rpc",
                    True,
                    made,
                    zeros,
                    np.nan_to_num(client) * made,
                    np.nan_to_num(server) * made,
                    zeros,
                )
            )
        return tuple(built)

    def _milliseconds(self, table: pods.Table, column: str, grid: Grid) -> FloatArray:
        if column not in table:
            return np.full(grid.length, np.nan)
        return 1000 * pods.on_grid(grid, pods.taken_at(table), table[column])


@dataclass(frozen=True, slots=True)
class _Entry:
    """What users see of the service nobody calls: median latency and failing share; NaN where nothing was recorded."""

    ms: FloatArray
    failing: FloatArray


def _services(
    grid: Grid, requests: dict[str, FloatArray], edges: tuple[Edge, ...], entry: _Entry
) -> tuple[ServiceSeries, ...]:
    """Return what each service says of its requests: its end of the calls, what users see where nobody calls."""
    built = []
    for service, rate in requests.items():
        seen = [e for e in edges if e.server == service]
        made = sum((e.calls for e in seen), grid.zeros())
        ms = sum((e.server_ms for e in seen), grid.zeros())
        failed = grid.zeros()
        if not seen:
            made = np.where(np.isfinite(entry.ms), np.nan_to_num(rate), 0.0)
            ms = made * np.nan_to_num(entry.ms)
            failed = made * np.nan_to_num(entry.failing)
        built.append(ServiceSeries(service, made, failed, ms, np.full(grid.length, np.nan)))
    return tuple(built)
