"""What to look at next where suspects are few: what moved most without standing out, and what is at its limit.

A lead is no suspect. It did not clear the bars that keep noise from being called a cause, so it never names one; it is
listed behind all suspects because a person who has to go on looking should not start from nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import saturation, stats
from services.correlation_engine.domain.fusion import Scene, relevance
from services.correlation_engine.domain.model import Evidence, EvidenceKind, Gauge, ServiceSeries, Telemetry, Window
from services.correlation_engine.domain.stats import Shift

LISTED = 3  # suspects and leads together; with as many suspects there are no leads
STRENGTH = 0.1  # of the clearest lead there can be: nothing among evidence
AT_LIMIT = 1.0  # how close what is at its limit comes to being evidence


def at_limit(lead: Evidence) -> bool:
    """Tell whether a lead is a resource that has run out."""
    share = lead.kind is EvidenceKind.RESOURCE_SATURATION and lead.unit == "1"
    return share and lead.observed >= saturation.FULL


def find(telemetry: Telemetry, window: Window, known: Collection[str], scene: Scene) -> list[Evidence]:
    """Return the best lead of each node that is not known yet, the best first, as many as there is room for.

    Only what the incident depends on is looked at. The strength says how close a lead comes to what would be evidence.
    """
    room = LISTED - len(known)
    if room <= 0:
        return []
    nodes = _nodes(telemetry) - set(known)
    wanted = {node for node, share in relevance(nodes, scene).items() if share == 1}
    best: dict[str, Evidence] = {}
    for lead in _all(telemetry, window, wanted):
        if lead.strength > (best[lead.service].strength if lead.service in best else 0):
            best[lead.service] = lead
    return sorted(best.values(), key=lambda lead: (-lead.strength, lead.service))[:room]


def _nodes(telemetry: Telemetry) -> set[str]:
    reporting = {s.service for s in telemetry.services} | {g.service for g in telemetry.gauges}
    return reporting | {e.server for e in telemetry.edges}


def _all(telemetry: Telemetry, window: Window, wanted: Collection[str]) -> Iterator[Evidence]:
    for gauge in telemetry.gauges:
        if gauge.service in wanted and saturation.RESOURCE.search(gauge.metric):
            yield _gauge(gauge, window)
    for s in telemetry.services:
        if s.service in wanted:
            yield from _service(s, window)
    for e in telemetry.edges:
        if e.server in wanted:
            slow = stats.mean_shift(e.client_ms, e.calls, window)
            what = f"The mean latency of {e.server}, as {e.client} sees it,"
            yield _lead(EvidenceKind.UNHEALTHY_DEPENDENCY, e.server, what, slow, "ms", window)


def _service(s: ServiceSeries, window: Window) -> Iterator[Evidence]:
    failing = stats.proportion_shift(s.errors, s.requests, window)
    slow = stats.mean_shift(s.duration_ms, s.requests, window)
    yield _lead(
        EvidenceKind.ERROR_ORIGIN, s.service, f"The failing share of {s.service}'s requests", failing, "1", window
    )
    yield _lead(EvidenceKind.SELF_LATENCY, s.service, f"The mean latency of {s.service}", slow, "ms", window)


def _gauge(gauge: Gauge, window: Window) -> Evidence:
    """Return the lead of a resource: how far it rose, or that it is at its limit, whatever it was before."""
    share = saturation.is_share(gauge)
    values = saturation.as_share(gauge) if share else gauge.values
    shift = stats.level_shift(values, window, saturation.UTILISATION_FLOOR if share else 0.0)
    during = values[window.incident]
    known = np.isfinite(during).any()
    exhausted = share and known and float(np.nanmax(during)) >= saturation.FULL
    if shift is None and exhausted:
        shift = _alone(float(np.nanmax(during)))
    what = f"{gauge.metric} of {gauge.service}"
    unit = "1" if share else gauge.unit
    return _lead(
        EvidenceKind.RESOURCE_SATURATION, gauge.service, what, shift, unit, window, AT_LIMIT if exhausted else 0.0
    )


def _alone(level: float) -> Shift:
    """Return a level that there is nothing before to compare with: beside itself. A limit is a limit even so."""
    return Shift(level, level, 1.0)


def _lead(
    kind: EvidenceKind, node: str, what: str, shift: Shift | None, unit: str, window: Window, least: float = 0.0
) -> Evidence:
    seen = shift or _alone(0.0)
    close = max(least, seen.z / stats.NOISE_Z if seen.z >= stats.VISIBLE_Z else 0.0)
    before = f"{_amount(seen.baseline, unit)} before" if seen.excess else "nothing to compare with"
    return Evidence(
        kind, node, f"{what} reached {_amount(seen.observed, unit)} ({before}).", observed=seen.observed,
        baseline=seen.baseline, unit=unit, strength=STRENGTH * close / (1 + close), start=window.onset,
        end=window.end,
    )  # fmt: skip


def _amount(value: float, unit: str) -> str:
    if unit == "1":
        return quantities.percent(value)
    return quantities.milliseconds(value) if unit == "ms" else f"{value:.4g} {unit}".strip()
