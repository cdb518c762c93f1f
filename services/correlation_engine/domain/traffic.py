"""Requests that rose or fell: context for other evidence, never a cause alone."""

from __future__ import annotations

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import Evidence, EvidenceKind, ServiceSeries, Telemetry, Window

MIN_CHANGE = 0.3  # of the usual rate


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per service whose request rate changed, either way."""
    found = (_score(series, window) for series in telemetry.services)
    return [evidence for evidence in found if evidence is not None]


def _score(series: ServiceSeries, window: Window) -> Evidence | None:
    shift = stats.rate_shift(series.requests, window)
    if shift is None or shift.baseline <= 0 or abs(shift.excess) < MIN_CHANGE * shift.baseline:
        return None
    strength = stats.significance(abs(shift.z))
    if strength <= 0:
        return None
    return Evidence(
        EvidenceKind.TRAFFIC_CHANGE,
        series.service,
        f"{series.service} serves {shift.observed:.0f} requests per minute ({shift.baseline:.0f} before).",
        observed=shift.observed,
        baseline=shift.baseline,
        unit="{request}/min",
        strength=strength,
        start=window.onset,
        end=window.end,
    )
