"""One-minute pod metrics in the Nezha layout as gauges, by service."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from services.correlation_engine.domain.model import FloatArray, Gauge, Grid

# The columns that have an OpenTelemetry name; node metrics belong to no service, the rest is dead or derived.
GAUGES = {
    "CpuUsageRate(%)": ("container.cpu.utilization", "%"),
    "MemoryUsageRate(%)": ("container.memory.utilization", "%"),
    "NetworkReceiveBytes": ("container.network.receive", "By"),
    "NetworkTransmitBytes": ("container.network.transmit", "By"),
}

Table = dict[str, list[str]]


def service_of(pod: str) -> str:
    """Return the service a pod belongs to: its name less replica set and pod hash."""
    return pod.rsplit("-", 2)[0]


def read_table(path: Path) -> Table:
    """Return a CSV file by column."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    return {name: [row[i] if i < len(row) else "" for row in rows[1:]] for i, name in enumerate(rows[0])}


def number(text: str) -> float:
    """Return a value, NaN when it is missing."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def taken_at(table: Table) -> FloatArray:
    """Return when each row was taken, in seconds since the epoch.

    From the written time: the numeric column of one recorded pod is off by years.
    """
    texts = table["Time" if "Time" in table else "time"]
    return np.array([datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp() for text in texts])


def on_grid(grid: Grid, taken: FloatArray, values: list[str]) -> FloatArray:
    """Return the values on the grid, the last of a minute; NaN where none was taken."""
    laid = np.full(grid.length, np.nan)
    start, end = grid.start.timestamp(), grid.end.timestamp()
    for row in np.flatnonzero((taken >= start) & (taken < end)):
        laid[int((taken[row] - start) // grid.step.total_seconds())] = number(values[row])
    return laid


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod's recording."""

    service: str
    taken: FloatArray
    table: Table


def pods(folder: Path) -> list[Pod]:
    """Return every pod recorded in a folder."""
    read = (
        (service_of(p.name.removesuffix("_metric.csv")), read_table(p)) for p in sorted(folder.glob("*_metric.csv"))
    )
    return [Pod(service, taken_at(table), table) for service, table in read]


def gauges(grid: Grid, found_pods: list[Pod]) -> tuple[Gauge, ...]:
    """Return the gauges of all pods that have any value on the grid."""
    found = []
    for pod in found_pods:
        for column, (metric, unit) in GAUGES.items():
            values = on_grid(grid, pod.taken, pod.table[column])
            if np.isfinite(values).any():
                found.append(Gauge(pod.service, metric, unit, values))
    return tuple(found)
