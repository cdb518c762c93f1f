"""Hand-made series on a small grid: 60 calm minutes, a guard minute, and two minutes of incident."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from services.correlation_engine.domain.model import (
    Edge,
    FloatArray,
    Gauge,
    Grid,
    LogSignature,
    ServiceSeries,
    Telemetry,
    Window,
)

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
GRID = Grid(START, START + timedelta(minutes=63))
WINDOW = Window(GRID, slice(0, 60), slice(61, 63))


def flat(before: float, during: float | None = None) -> FloatArray:
    """Return a constant series, with another value during the incident when given."""
    values = np.full(GRID.length, float(before))
    if during is not None:
        values[WINDOW.incident] = during
    return values


def service(
    name: str,
    requests: FloatArray | float = 100.0,
    error_share: FloatArray | float = 0.0,
    ms: FloatArray | float = 20.0,
) -> ServiceSeries:
    """Return a service's series from requests per minute, share of failures and mean duration."""
    count = flat(0) + requests
    return ServiceSeries(name, count, count * error_share, count * ms, flat(0) + ms * 2.0)


def edge(
    client: str,
    server: str,
    calls: FloatArray | float = 100.0,
    error_share: FloatArray | float = 0.0,
    ms: FloatArray | float = 10.0,
    server_ms: FloatArray | float | None = None,
) -> Edge:
    """Return an edge from calls per minute; without `server_ms` the callee is not instrumented."""
    count = flat(0) + calls
    known = server_ms is not None
    reported = count * (server_ms if server_ms is not None else 0.0)
    return Edge(client, server, "rpc", known, count, count * error_share, count * ms, reported, flat(0))


def gauge(name: str, values: FloatArray, metric: str = "container.cpu.utilization", unit: str = "1") -> Gauge:
    """Return a gauge."""
    return Gauge(name, metric, unit, values)


def signature(name: str, counts: FloatArray, severity: int = 17, text: str = "boom <*>") -> LogSignature:
    """Return a log signature."""
    return LogSignature(name, severity, text, text.replace("<*>", "7"), counts)


def telemetry(
    *parts: ServiceSeries | Edge | Gauge | LogSignature,
) -> Telemetry:
    """Return telemetry made of the parts."""
    return Telemetry(
        GRID,
        tuple(p for p in parts if isinstance(p, ServiceSeries)),
        tuple(p for p in parts if isinstance(p, Edge)),
        tuple(p for p in parts if isinstance(p, LogSignature)),
        tuple(p for p in parts if isinstance(p, Gauge)),
    )
