"""Puts each case before each method."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.correlation_engine.domain import onset as onsets
from services.correlation_engine.domain.analysis import analyse, analyse_window
from services.correlation_engine.domain.model import Analysis, Grid, Verdict, Window
from tests.bench.rca import baselines, measure, overlay
from tests.bench.rca.case import Case, candidates
from tests.bench.rca.measure import Outcome

OURS = "incidentscope"


@dataclass
class Results:
    """What every method made of a set. Keys are (method, onset)."""

    set: str
    outcomes: dict[tuple[str, str], list[Outcome]] = field(default_factory=dict)
    shifted: dict[int, list[Outcome]] = field(default_factory=dict)
    quiet: list[Outcome] = field(default_factory=list)
    overlaid: dict[tuple[str, str], list[overlay.Verdict]] = field(default_factory=dict)
    quiet_overlaid: list[Outcome] = field(default_factory=list)

    def add(self, method: str, onset: str, outcome: Outcome) -> None:
        """Keep one outcome."""
        self.outcomes.setdefault((method, onset), []).append(outcome)


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure besides the table: shifted onsets, and draws of deploys put over each case."""

    shifts: tuple[timedelta, ...] = ()
    overlays: int = 0
    seed: int = 1
    verbose: bool = False


def run_set(name: str, cases: Iterable[Case], options: Options) -> Results:
    """Judge every method on every case, one case in memory at a time."""
    results = Results(name)
    for number, case in enumerate(cases, start=1):
        print(f"\r{name}: case {number} {case.id:<32}", end="", file=sys.stderr, flush=True)
        if case.is_fault_free:
            _judge_quiet(case, results, options)
            continue
        _judge(case, results, options.verbose)
        for shift in options.shifts:
            shifted = analyse(case.telemetry, case.affected, _within(case.onset + shift, case.telemetry.grid))
            results.shifted.setdefault(round(shift / timedelta(minutes=1)), []).append(_outcome(case, shifted))
        for method, kind, verdict in overlay.judge(case, _alert(case), options.seed, options.overlays):
            results.overlaid.setdefault((method, kind), []).append(verdict)
    print(file=sys.stderr)
    return results


def _judge_quiet(case: Case, results: Results, options: Options) -> None:
    found = analyse(case.telemetry, case.affected, _alert(case))
    results.quiet.append(_outcome(case, found))
    for number in range(options.overlays):
        deploys = overlay.draw(case, False, options.seed, number)
        overlaid = analyse(deploys.on(case.telemetry), case.affected, _alert(case))
        results.quiet_overlaid.append(_outcome(case, overlaid))
    if options.verbose:
        _show(case, found)


def _alert(case: Case) -> datetime:
    """Return when the engine is asked: at the end of what was recorded, knowing only that something is wrong."""
    return case.telemetry.grid.end - timedelta(seconds=1)


def _within(instant: datetime, grid: Grid) -> datetime:
    return min(instant, grid.end - timedelta(seconds=1))


def _judge(case: Case, results: Results, verbose: bool) -> None:
    grid = case.telemetry.grid
    given = grid.index(case.onset)
    window = Window(grid, slice(0, given - onsets.GUARD_STEPS), slice(given, grid.length))
    found = {"given": analyse_window(case.telemetry, case.affected, window)}
    found["detected"] = analyse(case.telemetry, case.affected, _alert(case))
    for onset, analysis in found.items():
        results.add(OURS, onset, _outcome(case, analysis))
        step = analysis.window.incident.start
        for method, score in baselines.METHODS.items():
            place = measure.rank(score(case.telemetry, step), case.cause)
            results.add(method, onset, Outcome(case.id, case.fault, {place: 1.0}))
        blind = measure.uniform(len(candidates(case.telemetry)))
        results.add("random", onset, Outcome(case.id, case.fault, blind))
    if verbose:
        _show(case, found["detected"])


def _outcome(case: Case, analysis: Analysis) -> Outcome:
    scores = {h.service: h.score for h in analysis.hypotheses}
    first = analysis.hypotheses[0].confidence if analysis.hypotheses else 0.0
    named = analysis.verdict is Verdict.CAUSE_NAMED
    place = measure.rank(scores, case.cause)
    return Outcome(case.id, case.fault, {place: 1.0}, first, named)


def _show(case: Case, analysis: Analysis) -> None:
    late = round((analysis.window.onset - case.onset) / timedelta(minutes=1))
    ranked = ", ".join(f"{h.service} {h.score:.2f}" for h in analysis.hypotheses[:4])
    right = [h.rank for h in analysis.hypotheses if h.service == case.cause]
    print(f"\r{case.id} {case.fault} {case.cause}: place {right or 'none'}, onset {late:+d} min, "
          f"{analysis.verdict.value}: {ranked}")  # fmt: skip
