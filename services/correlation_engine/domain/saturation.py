"""A resource that runs out: CPU, memory, disk and their like, by level of the limit or by rise over the usual."""

from __future__ import annotations

import re

from libs.kernel import quantities
from services.correlation_engine.domain import stats
from services.correlation_engine.domain.model import Evidence, EvidenceKind, FloatArray, Gauge, Telemetry, Window

RESOURCE = re.compile(r"cpu|memory|filesystem|disk|utili[sz]ation|usage|open_fds|file_descriptor|threads|connections")
UTILISATION_FLOOR = 0.02
NEARLY_FULL, FULL = 0.7, 0.95  # share of the limit at which a resource starts to, and certainly does, hold work up
UNUSUAL = 2.5  # how much clearer use that exhausts nothing must stand out than use that does
UNUSUAL_STRENGTH = 0.45  # not enough to say that anything ran out
UNBOUNDED_STRENGTH = 0.6  # a rise without a known limit says less than a resource at its limit


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per resource gauge that rose."""
    found = (_score(gauge, window) for gauge in telemetry.gauges if RESOURCE.search(gauge.metric))
    return [evidence for evidence in found if evidence is not None]


def is_share(gauge: Gauge) -> bool:
    """Tell whether a gauge is a share of a limit by OpenTelemetry naming."""
    return gauge.metric.endswith(("utilization", "utilisation"))


def as_share(gauge: Gauge) -> FloatArray:
    """Return the values of a gauge that is a share of a limit as a fraction of it."""
    return gauge.values / 100 if gauge.unit == "%" else gauge.values


def fullness(level: float) -> float:
    """Return 0 for a share of a limit that leaves room, 1 for one that leaves none."""
    return min(1.0, max(0.0, (level - NEARLY_FULL) / (FULL - NEARLY_FULL)))


def _score(gauge: Gauge, window: Window) -> Evidence | None:
    share = is_share(gauge)
    values = as_share(gauge) if share else gauge.values
    shift = stats.level_shift(values, window, UTILISATION_FLOOR if share else 0.0)
    if shift is None or shift.excess <= 0:
        return None
    unusual = UNUSUAL_STRENGTH * stats.significance(shift.z / UNUSUAL)
    strength = max(unusual, stats.significance(shift.z) * (fullness(shift.observed) if share else UNBOUNDED_STRENGTH))
    if strength <= 0:
        return None
    observed, before = (
        (quantities.percent(shift.observed), quantities.percent(shift.baseline))
        if share
        else (f"{shift.observed:.4g} {gauge.unit}".strip(), f"{shift.baseline:.4g} {gauge.unit}".strip())
    )
    return Evidence(
        EvidenceKind.RESOURCE_SATURATION,
        gauge.service,
        f"{gauge.metric} of {gauge.service} reached {observed} ({before} before).",
        observed=shift.observed,
        baseline=shift.baseline,
        unit="1" if share else gauge.unit,
        strength=strength,
        start=window.onset,
        end=window.end,
        course=values,
    )
