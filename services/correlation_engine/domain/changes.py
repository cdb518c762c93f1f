"""Deploys shortly before the onset. A deploy alone is no cause: it strengthens a suspect that shows symptoms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta

from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import Change, Evidence, EvidenceKind, Telemetry, Window

DECAY = timedelta(minutes=6)
PER_HOP = 0.2  # what is left of a deploy's weight one call away; nothing farther
LEAST = 0.02


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per deploy that can precede the onset, on the deployed service."""
    found = (_score(change, window) for change in telemetry.changes)
    return [evidence for evidence in found if evidence is not None]


def lag(change: Change, window: Window) -> timedelta | None:
    """Return the time from the deploy to the onset, 0 while it rolls out; None when it began after the onset's step."""
    onset_latest = window.onset + window.grid.step  # the onset is known to the step only
    if change.started_at >= onset_latest:
        return None
    finished = change.finished_at or change.started_at
    return max(timedelta(), window.onset - max(change.started_at, finished))


def reach(change_service: str, graph: CallGraph, suspect: str) -> float:
    """Return how much of a deploy's weight a suspect gets: all on itself, a little one call away, else nothing."""
    if suspect == change_service:
        return 1.0
    near = graph.callees.get(change_service, set()) | graph.callers.get(change_service, set())
    return PER_HOP if suspect in near else 0.0


def strongest(
    deploys: Mapping[str, Evidence], graph: CallGraph, suspect: str, symptomatic: Mapping[str, float]
) -> tuple[float, Evidence | None]:
    """Return the weight of the best deploy for a suspect; one of another service counts by that service's symptoms.

    Where that service is the likelier cause itself, its deploy speaks for it alone.
    """
    best: tuple[float, Evidence | None] = (0.0, None)
    own = symptomatic.get(suspect, 0.0)
    for service, evidence in deploys.items():
        shown = symptomatic.get(service, 0.0)
        if service != suspect and shown >= own:
            continue
        shows = 1.0 if service == suspect else min(1.0, shown)
        weight = evidence.strength * reach(service, graph, suspect) * shows
        if weight > best[0]:
            best = (weight, evidence)
    return best


def _score(change: Change, window: Window) -> Evidence | None:
    delay = lag(change, window)
    if delay is None:
        return None
    # The trouble may have begun up to a step before the onset's: on a coarse grid a deploy is no farther for that.
    strength = math.exp(-max(timedelta(), delay - window.grid.step) / DECAY)
    if strength < LEAST:
        return None
    what = f"{change.service} was deployed" + (f" to {change.version}" if change.version else "")
    minutes = delay.total_seconds() / 60
    return Evidence(
        EvidenceKind.DEPLOY,
        change.service,
        f"{what} at {change.started_at:%H:%M:%S} UTC, the onset is at {window.onset:%H:%M} UTC.",
        observed=minutes,
        baseline=0.0,
        unit="min",
        strength=strength,
        start=change.started_at,
        end=max(change.finished_at or window.onset, change.started_at + timedelta(seconds=1)),
        url=change.url,
        change_id=change.id,
    )
