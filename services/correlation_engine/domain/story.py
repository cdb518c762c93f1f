"""The story of a hypothesis: what changed, what failed first, and who suffers from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import wording
from services.correlation_engine.domain.model import Evidence, EvidenceKind, StoryPart, StoryStep, Window
from services.correlation_engine.domain.symptoms import Symptom

MAX_VICTIMS = 5
HALFWAY = 0.5  # of the way from its usual to what was observed, a measure counts as failing


def tell(
    evidence: Sequence[Evidence], victims: Sequence[str], suffering: Mapping[str, Symptom], window: Window
) -> tuple[StoryStep, ...]:
    """Return change, first failure and blast radius. `victims` are the impacted services, nearest first."""
    deploy = next((e for e in evidence if e.kind is EvidenceKind.DEPLOY), None)
    measured = [e for e in evidence if e.kind is not EvidenceKind.DEPLOY]
    steps = []
    if deploy is not None:
        steps.append(
            StoryStep(StoryPart.CHANGE, deploy.service, deploy.statement, deploy.start, deploy.kind, deploy.url)
        )
    if measured:
        first = max(measured, key=lambda e: e.strength)
        began = _after(deploy, failing_since(first, window), window)
        steps.append(StoryStep(StoryPart.FIRST_FAILURE, first.service, first.statement, began, first.kind))
    steps += [_victim(name, suffering) for name in victims[:MAX_VICTIMS]]
    if len(victims) > MAX_VICTIMS:
        rest = victims[MAX_VICTIMS:]
        steps.append(StoryStep(StoryPart.BLAST_RADIUS, rest[0], f"So do {wording.names(rest)}."))
    return tuple(steps)


def _after(deploy: Evidence | None, began: datetime, window: Window) -> datetime:
    """Return when a failure is said to have begun: a deploy that began within the same step came first."""
    same_step = deploy is not None and began <= deploy.start < began + window.grid.step
    return deploy.start if deploy and same_step else began


def failing_since(evidence: Evidence, window: Window) -> datetime:
    """Return the first step of the incident at which a measure is more than half way to what was observed."""
    if evidence.course is None:
        return evidence.start
    course = evidence.course[window.incident]
    middle = np.nanmedian(course) if np.isfinite(course).any() else math.nan
    if math.isnan(middle):
        return evidence.start
    usual = evidence.course[window.baseline]
    before = float(np.nanmedian(usual)) if np.isfinite(usual).any() else 0.0
    top = float(np.nanmax(course)) if middle >= before else float(np.nanmin(course))
    beyond = np.abs(course - before) >= HALFWAY * abs(top - before)
    place = int(np.argmax(beyond)) if beyond.any() else 0
    return window.grid.instant(window.incident.start + place)


def _victim(name: str, suffering: Mapping[str, Symptom]) -> StoryStep:
    return StoryStep(StoryPart.BLAST_RADIUS, name, f"{name} {_suffers(suffering.get(name))}.")


def _suffers(symptom: Symptom | None) -> str:
    if symptom is None:
        return "calls it, directly or through others"
    if symptom.silent:
        return "gets almost no requests any more"
    if symptom.errors and symptom.error_strength >= max(symptom.latency_strength, 0.01):
        now, before = quantities.percent(symptom.errors.observed), quantities.percent(symptom.errors.baseline)
        return f"fails {now} of its requests ({before} before)"
    if not any(map(math.isnan, symptom.p95_ms)):
        now, before = (quantities.milliseconds(v) for v in symptom.p95_ms)
        return f"answers in {now} at the 95th percentile ({before} before)"
    return "became slower"
