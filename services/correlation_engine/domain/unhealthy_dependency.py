"""What callers see of a node that the node does not report itself: failures, stalls, silence.

Databases and third parties send no telemetry, a dead service stops sending it: their callers are the only witnesses.
"""

from __future__ import annotations

import math

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import calls, stats, wording
from services.correlation_engine.domain.model import Evidence, EvidenceKind, ServiceSeries, Telemetry, Window

MIN_FAILURES = 3.0
FLOOR_MS = 0.2
SILENT_SHARE = 0.1  # of its usual requests


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return up to two pieces of evidence per called node: failures (unit `1`) and waiting (unit `ms`)."""
    services = calls.by_service(telemetry)
    found: list[Evidence | None] = []
    for node, seen in calls.incoming(telemetry.edges).items():
        reported = services.get(node)
        found += [_failures(node, seen, reported, window), _waiting(node, seen, reported, window)]
    return [evidence for evidence in found if evidence is not None]


def _failures(node: str, seen: calls.Calls, reported: ServiceSeries | None, window: Window) -> Evidence | None:
    shift = stats.proportion_shift(seen.errors, seen.calls, window)
    if shift is None or shift.excess <= 0:
        return None
    total = float(seen.calls[window.incident].sum())
    own, noise = calls.excess_failures(reported, window) if reported else (0.0, 0.0)
    unreported = shift.excess * total - own
    strength = stats.significance(unreported / total / math.hypot(shift.scale, noise))
    if strength <= 0 or unreported < MIN_FAILURES:
        return None
    return Evidence(
        EvidenceKind.UNHEALTHY_DEPENDENCY,
        node,
        f"{quantities.percent(shift.observed)} of {total:.0f} calls to {node} failed as its callers "
        f"({wording.names(seen.peers)}) see it ({quantities.percent(shift.baseline)} before)"
        f"{_report(reported, window)}.",
        observed=shift.observed,
        baseline=shift.baseline,
        unit="1",
        strength=strength,
        start=window.onset,
        end=window.end,
        excess_errors=unreported,
        course=stats.per_step(seen.errors, seen.calls),
    )


def _report(reported: ServiceSeries | None, window: Window) -> str:
    if reported is None:
        return "; it sends no telemetry itself"
    if is_silent(reported, window):
        return "; it reports almost no requests any more"
    return "; it does not report these failures"


def is_silent(series: ServiceSeries, window: Window) -> bool:
    """Tell whether a service that used to serve requests all but stopped reporting any."""
    usual = float(np.median(series.requests[window.baseline]))
    during = float(series.requests[window.incident].mean())
    return usual > 0 and during <= SILENT_SHARE * usual


def _waiting(node: str, seen: calls.Calls, reported: ServiceSeries | None, window: Window) -> Evidence | None:
    """Judge by the callers' clock a node that does not answer for itself; of others, network_gap does."""
    if reported is not None and not is_silent(reported, window):
        return None
    shift = stats.mean_shift(seen.client_ms, seen.calls, window, FLOOR_MS)
    if shift is None or stats.significance(shift.z) <= 0:
        return None
    silence = "it reports almost no requests any more" if reported else "it sends no telemetry itself"
    return Evidence(
        EvidenceKind.UNHEALTHY_DEPENDENCY,
        node,
        f"Calls to {node} take {quantities.milliseconds(shift.observed)} as its callers ({wording.names(seen.peers)}) "
        f"see it ({quantities.milliseconds(shift.baseline)} before); {silence}.",
        observed=shift.observed,
        baseline=shift.baseline,
        unit="ms",
        strength=stats.significance(shift.z),
        start=window.onset,
        end=window.end,
        excess_ms=shift.excess * float(seen.calls[window.incident].sum()),
        course=stats.per_step(seen.client_ms, seen.calls),
    )
