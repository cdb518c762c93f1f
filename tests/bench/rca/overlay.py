"""Deploys put over recorded outages, which hold none: is the guilty one named, and are innocent ones left alone?

Which service failed decides where the guilty deploy goes, and nothing else; the engine sees deploys of several services
at several times, with ids that say nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from services.correlation_engine.domain.analysis import analyse
from services.correlation_engine.domain.model import Analysis, CauseKind, Change, Hypothesis, Telemetry
from tests.bench.rca.case import Case, candidates

GUILTY, INNOCENT = "guilty", "innocent"
LAG_MINUTES = (1.0, 6.0)  # a deploy that breaks something is noticed so soon; the labels are a minute off, too
ROLLOUT_SECONDS = (20.0, 90.0)
AROUND = timedelta(minutes=60)  # before the onset; innocent deploys are anywhere from there to the end
ELSEWHERE = 4  # innocent deploys at any time
COINCIDENT = 1  # and just before the onset, as the guilty one is
LATEST = "latest_deploy"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a method made of one overlaid outage: is its first suspect right, and which deploys does it blame for it?"""

    case: str
    fault: str
    right: bool
    guilty: bool
    innocent: bool


@dataclass(frozen=True, slots=True)
class Overlay:
    """Deploys over one case; `guilty` is the id of the one that broke it, empty when none did."""

    changes: tuple[Change, ...]
    guilty: str = ""

    def on(self, telemetry: Telemetry) -> Telemetry:
        """Return what the engine reads."""
        return replace(telemetry, changes=self.changes)


def draw(case: Case, guilty: bool, seed: int, number: int) -> Overlay:
    """Return the deploys of one draw; the innocent ones are the same with and without a guilty one."""
    digest = hashlib.sha256(f"{seed}/{number}/{case.set}/{case.id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    own = _change(case.cause, _before(case.onset, rng), rng)
    others = [name for name in candidates(case.telemetry) if name != case.cause]
    start = case.onset - AROUND
    span = case.telemetry.grid.end - start
    times = [_before(case.onset, rng) for _ in range(COINCIDENT)]
    times += [start + float(rng.random()) * span for _ in range(ELSEWHERE)]
    chosen = rng.choice(len(others), size=len(times), replace=len(others) < len(times))
    innocent = [_change(others[int(n)], at, rng) for n, at in zip(chosen, times, strict=True)]
    changes = sorted([*innocent, *((own,) if guilty else ())], key=lambda c: c.started_at)
    return Overlay(tuple(changes), own.id if guilty else "")


def _before(onset: datetime, rng: np.random.Generator) -> datetime:
    return onset - timedelta(minutes=float(rng.uniform(*LAG_MINUTES)))


def _change(service: str, at: datetime, rng: np.random.Generator) -> Change:
    rollout = timedelta(seconds=float(rng.uniform(*ROLLOUT_SECONDS)))
    return Change(rng.bytes(8).hex(), service, f"v{rng.integers(1, 99)}", at, at + rollout)


def judge(case: Case, alert: datetime, seed: int, draws: int) -> Iterator[tuple[str, str, Verdict]]:
    """Yield method, overlay and verdict of each draw."""
    for number in range(draws):
        for kind in (GUILTY, INNOCENT):
            overlay = draw(case, kind == GUILTY, seed, number)
            found = analyse(overlay.on(case.telemetry), case.affected, alert)
            yield "incidentscope", kind, _ours(case, overlay, found)
            yield LATEST, kind, _latest(case, overlay, found.window.onset + found.window.grid.step)


def _ours(case: Case, overlay: Overlay, found: Analysis) -> Verdict:
    first = found.hypotheses[0] if found.hypotheses else None
    blamed = _blamed(first)
    ahead = [h for h in found.hypotheses[1:] if first and h.score >= first.score]
    right = first is not None and first.service == case.cause and not ahead
    return Verdict(case.id, case.fault, right, blamed == overlay.guilty != "", blamed not in ("", overlay.guilty))


def _blamed(first: Hypothesis | None) -> str:
    """Return the deploy the first hypothesis says did it, empty when it says so of none."""
    return first.change_id if first and first.cause_kind is CauseKind.DEPLOY else ""


def _latest(case: Case, overlay: Overlay, before: datetime) -> Verdict:
    """Blame the latest deploy that began before an instant."""
    earlier = [c for c in overlay.changes if c.started_at < before]
    if not earlier:
        return Verdict(case.id, case.fault, right=False, guilty=False, innocent=False)
    last = earlier[-1]
    guilty = last.id == overlay.guilty
    return Verdict(case.id, case.fault, last.service == case.cause, guilty, not guilty)
