"""Time that passes between two ends of a call: the caller waits for it, the callee does not know of it.

Both ends are suspects. A node whose network is slow shows it in all its calls, its peers only in those with that node.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import calls, stats, unhealthy_dependency, wording
from services.correlation_engine.domain.model import Edge, Evidence, EvidenceKind, Telemetry, Window
from services.correlation_engine.domain.stats import Shift

FLOOR_MS = 0.2
CLEARER = 0.1  # by how much more of a caller's calls must be affected than of its callee's for the caller to be blamed


@dataclass(frozen=True, slots=True)
class _Gap:
    """One relation whose gap widened; `ms` is what that adds in the incident window."""

    edge: Edge
    shift: Shift
    ms: float


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per node that more of its calls speak against than against the other ends."""
    services = calls.by_service(telemetry)
    reporting = {n for n, s in services.items() if not unhealthy_dependency.is_silent(s, window)}
    edges = [e for e in telemetry.edges if e.client != e.server and e.instrumented and e.server in reporting]
    gaps = [gap for edge in _widened(edges, window) if (gap := _gap(edge, window)) is not None]
    served = _shares(edges, gaps, window, lambda e: e.server)
    made = _shares(edges, gaps, window, lambda e: e.client)
    blamed: dict[str, list[_Gap]] = {}
    for gap in gaps:
        client, server = gap.edge.client, gap.edge.server
        blamed.setdefault(client if made[client] >= served[server] + CLEARER else server, []).append(gap)
    return [_evidence(node, found, window) for node, found in blamed.items()]


def _widened(edges: list[Edge], window: Window) -> list[Edge]:
    """Return the edges whose gap in the incident is beyond its usual median, found for all at once."""
    if not edges:
        return []
    between = np.vstack([e.client_ms - e.server_ms for e in edges])
    calls_made = np.vstack([e.calls for e in edges])
    usual = stats.row_quantile(stats.per_step(between, calls_made)[:, window.baseline], 0.5)
    added = (v[:, window.incident].sum(axis=1, keepdims=True) for v in (between, calls_made))
    during = stats.per_step(*added)
    beyond = (during - usual)[:, 0] >= stats.NOISE_Z * FLOOR_MS
    return [edge for edge, more in zip(edges, beyond, strict=True) if more]


def _gap(edge: Edge, window: Window) -> _Gap | None:
    level = stats.mean_shift(edge.client_ms, edge.calls, window)
    between = edge.client_ms - edge.server_ms
    shift = stats.mean_shift(between, edge.calls, window, FLOOR_MS, level=level.baseline if level else None)
    if shift is None or stats.significance(shift.z) <= 0:
        return None
    return _Gap(edge, shift, shift.excess * float(edge.calls[window.incident].sum()))


def _shares(edges: list[Edge], gaps: list[_Gap], window: Window, end: Callable[[Edge], str]) -> dict[str, float]:
    """Return per node, at one end of calls, the share of these calls whose gap widened."""
    widened = {(g.edge.client, g.edge.server) for g in gaps}
    total: dict[str, float] = {}
    slow: dict[str, float] = {}
    for edge in edges:
        made, node = float(edge.calls[window.incident].sum()), end(edge)
        total[node] = total.get(node, 0.0) + made
        slow[node] = slow.get(node, 0.0) + made * ((edge.client, edge.server) in widened)
    return {node: slow[node] / made if made else 0.0 for node, made in total.items()}


def _evidence(node: str, found: list[_Gap], window: Window) -> Evidence:
    gap = max(found, key=lambda g: (g.ms, g.edge.client, g.edge.server))
    ends = wording.names(sorted({n for g in found for n in (g.edge.client, g.edge.server)} - {node}))
    return Evidence(
        EvidenceKind.NETWORK_GAP,
        node,
        f"Calls between {node} and {ends} wait up to {quantities.milliseconds(gap.shift.observed)} "
        f"beyond what the callee reports ({quantities.milliseconds(gap.shift.baseline)} before).",
        observed=gap.shift.observed,
        baseline=gap.shift.baseline,
        unit="ms",
        strength=max(stats.significance(g.shift.z) for g in found),
        start=window.onset,
        end=window.end,
        excess_ms=sum(g.ms for g in found),
        course=stats.per_step(gap.edge.client_ms - gap.edge.server_ms, gap.edge.calls),
    )
