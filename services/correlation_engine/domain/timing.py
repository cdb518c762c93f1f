"""Whether a piece of evidence comes and goes with what the affected services suffer."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import Evidence, FloatArray, Telemetry, Window

BEFORE = 5  # steps before the onset that are compared too
MIN_STEPS = 5
LEAST = 0.1  # of its weight is left to evidence that moves otherwise: what a service suffers has more than one cause


def courses(telemetry: Telemetry, affected: Collection[str], window: Window) -> list[FloatArray]:
    """Return what the affected services went through, step by step: the error ratios and latencies that rose."""
    found = []
    for s in telemetry.services:
        if s.service in affected:
            errors = stats.proportion_shift(s.errors, s.requests, window)
            latency = stats.mean_shift(s.duration_ms, s.requests, window)
            if errors and errors.z >= stats.VISIBLE_Z:
                found.append(stats.per_step(s.errors, s.requests))
            if latency and latency.z >= stats.VISIBLE_Z:
                found.append(stats.per_step(s.duration_ms, s.requests))
    return found


def agreement(evidence: Evidence, symptoms: Collection[FloatArray], window: Window) -> float:
    """Return 1 when evidence moves with a symptom, less the less it does; 1 without anything to compare."""
    if evidence.course is None or not symptoms:
        return 1.0
    around = slice(max(0, window.incident.start - BEFORE), window.grid.length)
    found = [_correlation(evidence.course[around], symptom[around]) for symptom in symptoms]
    known = [value for value in found if value is not None]
    return max(LEAST, *known) if known else 1.0


def _correlation(one: FloatArray, other: FloatArray) -> float | None:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < MIN_STEPS or not one[both].std() or not other[both].std():
        return None
    return float(np.corrcoef(one[both], other[both])[0, 1])
