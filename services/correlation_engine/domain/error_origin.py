"""Errors that begin at a service: what its failing requests add beyond what its failing calls explain."""

from __future__ import annotations

import math

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import calls, stats
from services.correlation_engine.domain.model import Evidence, EvidenceKind, ServiceSeries, Telemetry, Window

MIN_FAILURES = 3.0  # one or two failed requests are an anecdote


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per service whose own errors rose."""
    below = calls.outgoing(telemetry.edges)
    found = (_score(series, below.get(series.service), window) for series in telemetry.services)
    return [evidence for evidence in found if evidence is not None]


def _score(series: ServiceSeries, below: calls.Calls | None, window: Window) -> Evidence | None:
    shift = stats.proportion_shift(series.errors, series.requests, window)
    if shift is None or shift.excess <= 0:
        return None
    requests = float(series.requests[window.incident].sum())
    explained, noise = _explained(below, requests, window)
    by_rates = shift.excess - explained, math.hypot(shift.scale, noise)
    own, scale = max(by_rates, _unexplained(series, below, window), key=lambda pair: pair[0] / pair[1])
    strength = stats.significance(own / scale)
    if strength <= 0 or own * requests < MIN_FAILURES:
        return None
    return Evidence(
        EvidenceKind.ERROR_ORIGIN,
        series.service,
        f"{quantities.percent(shift.observed)} of {requests:.0f} requests to {series.service} failed "
        f"({quantities.percent(shift.baseline)} before); failing calls to others explain "
        f"{quantities.percent(min(explained, shift.excess))}.",
        observed=shift.observed,
        baseline=shift.baseline,
        unit="1",
        strength=strength,
        start=window.onset,
        end=window.end,
        excess_errors=own * requests,
        course=stats.per_step(series.errors, series.requests),
    )


def _unexplained(series: ServiceSeries, below: calls.Calls | None, window: Window) -> tuple[float, float]:
    """Return the excess of failures over failing calls taken step by step, and its scale.

    Failures that come and go with those below cancel out here; failing calls the service shrugs off hide its own.
    """
    failing_calls = below.errors if below else np.zeros_like(series.errors)
    shift = stats.proportion_shift(np.maximum(series.errors - failing_calls, 0.0), series.requests, window)
    return (shift.excess, shift.scale) if shift else (0.0, 1.0)


def _explained(below: calls.Calls | None, requests: float, window: Window) -> tuple[float, float]:
    """Return the failing calls added per request, and their scale."""
    shift = stats.proportion_shift(below.errors, below.calls, window) if below else None
    if below is None or shift is None:
        return 0.0, 0.0
    calls_per_request = float(below.calls[window.incident].sum()) / requests
    return max(0.0, shift.excess) * calls_per_request, shift.scale * min(1.0, calls_per_request)
