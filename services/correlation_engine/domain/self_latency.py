"""Time spent inside a service: what it takes to serve a request less what it waits for calls to others."""

from __future__ import annotations

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import calls, stats
from services.correlation_engine.domain.model import Evidence, EvidenceKind, ServiceSeries, Telemetry, Window

FLOOR_MS = 0.2  # clocks and exporters round
WAITING_FLOOR = 0.01  # of the whole: spans of calls never cover the waiting to the last microsecond


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per service whose own time per request rose."""
    below = calls.outgoing(telemetry.edges)
    found = (_score(series, below.get(series.service), window) for series in telemetry.services)
    return [evidence for evidence in found if evidence is not None]


def _score(series: ServiceSeries, below: calls.Calls | None, window: Window) -> Evidence | None:
    whole = stats.mean_shift(series.duration_ms, series.requests, window, FLOOR_MS)
    if whole is None:
        return None
    waited = below.client_ms if below else np.zeros_like(series.duration_ms)
    own = stats.mean_shift(series.duration_ms - waited, series.requests, window, FLOOR_MS)
    # Parallel calls that end sooner raise the difference without anybody waiting longer: cap by the whole.
    excess = 0.0 if own is None else min(own.excess, whole.excess)
    if own is None or excess <= 0:
        return None
    parallel = own.baseline < 0
    scale = max(own.scale, whole.scale if parallel else WAITING_FLOOR * whole.baseline)
    strength = stats.significance(excess / scale)
    if strength <= 0:
        return None
    requests = float(series.requests[window.incident].sum())
    return Evidence(
        EvidenceKind.SELF_LATENCY,
        series.service,
        f"{series.service} spends {quantities.milliseconds(own.observed)} per request in itself "
        f"({quantities.milliseconds(own.baseline)} before), of {quantities.milliseconds(whole.observed)} in all, "
        f"over {requests:.0f} requests.",
        observed=own.observed,
        baseline=own.baseline,
        unit="ms",
        strength=strength,
        start=window.onset,
        end=window.end,
        excess_ms=excess * requests,
        course=stats.per_step(series.duration_ms - waited, series.requests),
    )
