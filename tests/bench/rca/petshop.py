"""PetShop issues: five-minute metrics per node, a call graph, and the node a symptom was seen at.

Calls are not measured, nodes are: a node's requests are divided among its callers by the requests those serve. The
steps before an issue's recording are the end of the scenario's quiet recording, made months later, then the first
step of the scenario's other issues, recorded the same days before anything was wrong. Scenarios without a quiet
recording use that of `low_traffic`, as the data's description suggests.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from services.correlation_engine.domain.model import Edge, FloatArray, Grid, ServiceSeries, Telemetry
from tests.bench.rca.case import FAULT_FREE, Case

NAME = "petshop"
FOLDER = "petshop"
STEP = timedelta(minutes=5)
HISTORY = 24  # steps
RECORDED = 5
QUIET_EVERY = 24
BASELINE_OF_THOSE_WITHOUT = "low_traffic"


@dataclass(frozen=True, slots=True)
class Table:
    """One metrics file: per node, metric and statistic a series."""

    times: FloatArray
    series: dict[tuple[str, str, str], FloatArray]

    def rows(self, start: int, stop: int) -> Table:
        """Return a part of it."""
        return Table(self.times[start:stop], {k: v[start:stop] for k, v in self.series.items()})

    def after(self, before: Table) -> Table:
        """Return this with the rows of another put in front; what one of them lacks is missing there."""
        gap = {k: (np.full(before.times.size, np.nan), np.full(self.times.size, np.nan)) for k in
               before.series.keys() | self.series.keys()}  # fmt: skip
        joined = {
            k: np.concatenate([before.series.get(k, g[0]), self.series.get(k, g[1])]) for k, g in sorted(gap.items())
        }
        return Table(np.concatenate([before.times, self.times]), joined)


def cases(folder: Path) -> Iterator[Case]:
    """Yield each issue, and quiet times of the scenarios that recorded any."""
    for scenario in sorted(p for p in folder.iterdir() if p.is_dir()):
        own = scenario / "noissue" / "metrics.csv"
        quiet = _read(own if own.exists() else folder / BASELINE_OF_THOSE_WITHOUT / "noissue" / "metrics.csv")
        calls = _calls(scenario / "graph.csv")
        issues = {path: _read(path / "metrics.csv") for path in sorted((scenario / "issues").iterdir())}
        for issue in issues:
            before = quiet
            for other in (table for path, table in issues.items() if path != issue):
                before = other.rows(0, 1).after(before)
            yield _issue(scenario.name, issue, before, calls)
        if own.exists():
            yield from _quiet(scenario.name, quiet, calls)


def _issue(scenario: str, issue: Path, quiet: Table, calls: list[tuple[str, str]]) -> Case:
    described = json.loads((issue / "target.json").read_text())
    recorded = _read(issue / "metrics.csv")
    table = recorded.after(quiet.rows(-HISTORY, quiet.times.size))
    # The quiet steps are those right before the recording, whenever they were really taken.
    start = datetime.fromtimestamp(recorded.times[0], UTC) - HISTORY * STEP
    grid = Grid(start, start + STEP * table.times.size, STEP)
    symptom = described["target"]
    onset = grid.instant(max(HISTORY, grid.index(datetime.fromtimestamp(symptom["timestamp"], UTC))))
    return Case(
        NAME, f"{scenario}-{issue.name}", f"{scenario}-{symptom['metric']}", described["root_cause"]["node"],
        _telemetry(grid, table, calls), (symptom["node"],), onset,
    )  # fmt: skip


def _quiet(scenario: str, quiet: Table, calls: list[tuple[str, str]]) -> Iterator[Case]:
    """Yield quiet times that look like the issues: the symptom would be reported where users come in."""
    entries = {c for c, _d in calls} - {d for _c, d in calls}
    busiest = max(entries, key=lambda n: (float(np.nansum(quiet.series.get((n, "requests", "Sum"), np.zeros(1)))), n))
    for first in range(HISTORY, quiet.times.size - RECORDED, QUIET_EVERY):
        table = quiet.rows(first - HISTORY, first + RECORDED)
        start = datetime.fromtimestamp(table.times[0], UTC)
        grid = Grid(start, start + STEP * table.times.size, STEP)
        telemetry = _telemetry(grid, table, calls)
        yield Case(NAME, f"{scenario}-quiet-{first}", FAULT_FREE, "", telemetry, (busiest,), grid.instant(HISTORY + 1))


def _read(path: Path) -> Table:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    keys = list(zip(*(row[1:] for row in rows[:3]), strict=True))
    values = np.array([[float(v) if v else np.nan for v in row] for row in rows[4:]])
    return Table(values[:, 0], {(k[0], k[1], k[2]): values[:, i] for i, k in enumerate(keys, start=1)})


def _calls(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return [
        (row[0], callee)
        for row in rows[1:]
        for callee, weight in zip(rows[0][1:], row[1:], strict=True)
        if float(weight or 0) and row[0] != callee
    ]


def _telemetry(grid: Grid, table: Table, calls: list[tuple[str, str]]) -> Telemetry:
    nodes = sorted({n for call in calls for n in call} | {k[0] for k in table.series})
    services = {node: _service(node, table, grid) for node in nodes}
    return Telemetry(grid, tuple(services.values()), tuple(_edges(services, calls, grid)))


def _service(node: str, table: Table, grid: Grid) -> ServiceSeries:
    unknown = np.full(grid.length, np.nan)
    requests = np.nan_to_num(table.series.get((node, "requests", "Sum"), unknown))
    available = table.series.get((node, "availability", "Average"), unknown)
    seconds = table.series.get((node, "latency", "Average"), unknown)
    measured = np.isfinite(seconds)
    requests = np.where(measured, requests, 0.0)
    errors = requests * np.nan_to_num((100 - available) / 100)
    p95 = 1000 * table.series.get((node, "latency", "p95"), unknown)
    return ServiceSeries(node, requests, errors, requests * 1000 * np.nan_to_num(seconds), p95)


def _edges(services: dict[str, ServiceSeries], calls: list[tuple[str, str]], grid: Grid) -> Iterator[Edge]:
    callers: dict[str, list[str]] = {}
    for caller, callee in calls:
        callers.setdefault(callee, []).append(caller)
    for caller, callee in calls:
        total = sum((services[c].requests for c in callers[callee]), grid.zeros())
        share = np.divide(services[caller].requests, total, out=grid.zeros(), where=total > 0)
        node = services[callee]
        ms = share * node.duration_ms
        yield Edge(caller, callee, "", True, share * node.requests, share * node.errors, ms, ms, grid.zeros())
