"""Calls summed per node: what a service waits for below it, and what its callers see of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import Edge, FloatArray, ServiceSeries, Telemetry, Window


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Several edges added up, by the caller's clock. Durations are sums in ms."""

    calls: FloatArray
    errors: FloatArray
    client_ms: FloatArray
    server_ms: FloatArray
    unpaired: FloatArray
    peers: tuple[str, ...]


def outgoing(edges: Iterable[Edge]) -> dict[str, Calls]:
    """Return per caller everything it calls; `peers` are its callees."""
    return _group(edges, lambda e: e.client, lambda e: e.server)


def incoming(edges: Iterable[Edge]) -> dict[str, Calls]:
    """Return per callee everything that calls it; `peers` are its callers."""
    return _group(edges, lambda e: e.server, lambda e: e.client)


def _group(edges: Iterable[Edge], key: Callable[[Edge], str], peer: Callable[[Edge], str]) -> dict[str, Calls]:
    grouped: dict[str, list[Edge]] = {}
    for edge in edges:
        if edge.client != edge.server:
            grouped.setdefault(key(edge), []).append(edge)
    return {node: _add(group, tuple(sorted({peer(e) for e in group}))) for node, group in grouped.items()}


def _add(group: list[Edge], peers: tuple[str, ...]) -> Calls:
    return Calls(
        calls=sum((e.calls for e in group[1:]), group[0].calls),
        errors=sum((e.errors for e in group[1:]), group[0].errors),
        client_ms=sum((e.client_ms for e in group[1:]), group[0].client_ms),
        server_ms=sum((e.server_ms for e in group[1:]), group[0].server_ms),
        unpaired=sum((e.unpaired for e in group[1:]), group[0].unpaired),
        peers=peers,
    )


def by_service(telemetry: Telemetry) -> dict[str, ServiceSeries]:
    """Return the series by service name."""
    return {series.service: series for series in telemetry.services}


def excess_failures(series: ServiceSeries, window: Window) -> tuple[float, float]:
    """Return how many more requests failed than usual, at least 0, and the scale of the proportion."""
    shift = stats.proportion_shift(series.errors, series.requests, window)
    if shift is None:
        return 0.0, 0.0
    return max(0.0, shift.excess) * float(series.requests[window.incident].sum()), shift.scale
