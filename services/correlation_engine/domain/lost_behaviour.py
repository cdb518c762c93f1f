"""What a service no longer does: a log statement that used to follow another stops, or requests that log nothing.

A wrong return value or a swallowed exception fails no request and slows none; the code that used to run next, and the
lines it logs, are all that is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from libs.kernel import quantities
from services.correlation_engine.domain import stats, wording
from services.correlation_engine.domain.model import (
    Evidence,
    EvidenceKind,
    FloatArray,
    LogTransition,
    Telemetry,
    Window,
)

USUAL_SHARE = 0.5  # a statement that follows less often is one of several paths, which traffic mix alone changes
MIN_LOST = 3.0
MIN_SHARE = 0.1  # of the times it would have run
LEAST_RATE = 0.05  # logging spans per request, for logging to belong to serving requests


@dataclass(frozen=True, slots=True)
class _Loss:
    """How often something did not happen that used to."""

    service: str
    count: float
    share: float
    usual: float
    z: float
    what: str
    course: FloatArray


def score(telemetry: Telemetry, window: Window) -> list[Evidence]:
    """Return one piece of evidence per service, of its largest loss."""
    largest: dict[str, _Loss] = {}
    for loss in _of_transitions(telemetry, window):
        known = largest.get(loss.service)
        if known is None or (loss.count, loss.what) > (known.count, known.what):
            largest[loss.service] = loss
    return [_evidence(loss, window) for loss in largest.values()]


def is_usual(transition: LogTransition, usual: slice) -> bool:
    """Tell whether one statement used to follow another in most cases."""
    if not transition.signature:
        return False
    ran = float(transition.ran[usual].sum())
    return ran > 0 and float(transition.followed[usual].sum()) >= USUAL_SHARE * ran


def _of_transitions(telemetry: Telemetry, window: Window) -> Iterator[_Loss]:
    for t in telemetry.transitions:
        if not t.signature:
            yield from _of_silence(t, window)
            continue
        if not is_usual(t, window.baseline) or not _may_be_lost(t, window):
            continue
        shift = stats.proportion_shift(t.ran - t.followed, t.ran, window)
        if shift is None:
            continue
        following = f"logs {wording.excerpt(t.following)}" if t.following else "ends"
        what = f"after {wording.excerpt(t.signature)} {t.service} no longer {following}"
        course = stats.per_step(t.ran - t.followed, t.ran)
        yield from _clear(t.service, shift, float(t.ran[window.incident].sum()), 1 - shift.baseline, what, course)


def _may_be_lost(t: LogTransition, window: Window) -> bool:
    """Tell at little cost whether enough went missing to look closer: most transitions go on as ever."""
    ran, followed = float(t.ran[window.incident].sum()), float(t.followed[window.incident].sum())
    return ran - followed >= max(MIN_LOST, MIN_SHARE * ran)


def _of_silence(t: LogTransition, window: Window) -> Iterator[_Loss]:
    """Compare the spans that log anything with the requests served: one that fails at once logs nothing."""
    fewer = stats.mean_shift(-t.followed, t.ran, window)
    if fewer is None or -fewer.baseline < LEAST_RATE:
        return
    requests = float(t.ran[window.incident].sum())
    share = stats.Shift(fewer.excess / -fewer.baseline, 0.0, fewer.scale / -fewer.baseline)
    course = -stats.per_step(t.followed, t.ran)
    yield from _clear(t.service, share, requests, 1.0, f"{t.service} serves a request without logging a line", course)


def _clear(
    service: str, shift: stats.Shift, usual_count: float, usual: float, what: str, course: FloatArray
) -> Iterator[_Loss]:
    lost = shift.excess * usual_count
    if lost >= MIN_LOST and shift.excess >= MIN_SHARE and stats.significance(shift.z) > 0:
        yield _Loss(service, lost, shift.excess, usual, shift.z, what, course)


def _evidence(loss: _Loss, window: Window) -> Evidence:
    return Evidence(
        EvidenceKind.LOST_BEHAVIOUR,
        loss.service,
        f"In {quantities.percent(loss.share)} of the cases ({loss.count:.0f}) {loss.what}.",
        observed=float(np.clip(loss.usual - loss.share, 0.0, 1.0)),
        baseline=loss.usual,
        unit="1",
        strength=stats.significance(loss.z) * min(1.0, 2 * loss.share),
        start=window.onset,
        end=window.end,
        excess_lost=loss.count,
        course=loss.course,
    )
