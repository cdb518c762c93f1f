"""How much each service suffers, whoever is to blame; the yardstick for what a suspect explains."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from services.correlation_engine.domain import stats, unhealthy_dependency
from services.correlation_engine.domain.model import ServiceSeries, Telemetry, Window
from services.correlation_engine.domain.stats import Shift


@dataclass(frozen=True, slots=True)
class Symptom:
    """What the requests to one service went through. `p95_ms` is (during, before), NaN when unknown."""

    errors: Shift | None
    latency: Shift | None
    silent: bool
    p95_ms: tuple[float, float]

    @property
    def error_strength(self) -> float:
        """Return 0 to 1: how clearly failures rose, or requests vanished."""
        return 1.0 if self.silent else stats.significance(self.errors.z) if self.errors else 0.0

    @property
    def latency_strength(self) -> float:
        """Return 0 to 1: how clearly requests became slower."""
        return stats.significance(self.latency.z) if self.latency else 0.0

    @property
    def visible(self) -> bool:
        """Tell whether there is any trouble to see, be it too little to be sure of."""
        return self.silent or any(shift.z >= stats.VISIBLE_Z for shift in (self.errors, self.latency) if shift)

    @property
    def strength(self) -> float:
        """Return the larger of the two."""
        return max(self.error_strength, self.latency_strength)


def measure(telemetry: Telemetry, window: Window) -> dict[str, Symptom]:
    """Return the symptom of every service that serves requests."""
    return {series.service: _measure(series, window) for series in telemetry.services}


def _measure(series: ServiceSeries, window: Window) -> Symptom:
    return Symptom(
        errors=stats.proportion_shift(series.errors, series.requests, window),
        latency=stats.mean_shift(series.duration_ms, series.requests, window),
        silent=unhealthy_dependency.is_silent(series, window),
        p95_ms=(_highest(series, window), _usual(series, window)),
    )


def _highest(series: ServiceSeries, window: Window) -> float:
    values = series.p95_ms[window.incident]
    return float(np.nanmax(values)) if np.isfinite(values).any() else math.nan


def _usual(series: ServiceSeries, window: Window) -> float:
    values = series.p95_ms[window.baseline]
    return float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan


def usual(telemetry: Telemetry, affected: Collection[str], window: Window) -> tuple[float, float]:
    """Return the requests served in the window where the trouble is noticed, and the ms they used to take in all.

    That is at the affected services; when none is known, where requests come in: at services nobody calls.
    """
    called = {edge.server for edge in telemetry.edges}
    measured = [s for s in telemetry.services if s.service in affected]
    requests = time = 0.0
    for series in measured or [s for s in telemetry.services if s.service not in called]:
        served = float(series.requests[window.incident].sum())
        before, _scale = stats.median_and_scale(
            stats.per_step(series.duration_ms[window.baseline], series.requests[window.baseline])
        )
        requests += served
        time += 0.0 if math.isnan(before) else served * before
    return requests, time


def weights(symptoms: Mapping[str, Symptom], affected: Collection[str]) -> tuple[float, float]:
    """Return how much failures and slowness matter in this incident, the larger 1, neither below a tenth.

    Taken from the affected services; from all of them when those are unknown or show nothing.
    """
    chosen = [s for name, s in symptoms.items() if name in affected and s.strength > 0] or list(symptoms.values())
    errors = max((s.error_strength for s in chosen), default=0.0)
    latency = max((s.latency_strength for s in chosen), default=0.0)
    largest = max(errors, latency)
    if largest <= 0:
        return 1.0, 1.0
    return max(errors / largest, 0.1), max(latency / largest, 0.1)
