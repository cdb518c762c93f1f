"""The ranking as a whole, over simulated outages of random shops."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from services.correlation_engine.domain.analysis import analyse
from services.correlation_engine.domain.model import (
    Analysis,
    CauseKind,
    Change,
    Edge,
    EvidenceKind,
    Grid,
    Reason,
    Telemetry,
    Verdict,
)
from tests.unit.services.correlation_engine import world

SEEDS = range(6)
KINDS = {
    "bad-deploy": {CauseKind.DEPLOY},
    "slow-database": {CauseKind.SLOW_DEPENDENCY},
    "dead-dependency": {CauseKind.DEAD_DEPENDENCY},
    "cpu-starvation": {CauseKind.RESOURCE_SATURATION},
}


def run(scenario: world.Scenario) -> Analysis:
    return analyse(scenario.telemetry, scenario.affected, scenario.started_at)


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("cause", world.CAUSES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_cause_is_ranked_first_and_named(seed: int, cause: str, shape: str) -> None:
    scenario = world.simulate(seed, cause, shape)

    analysis = run(scenario)

    assert analysis.verdict is Verdict.CAUSE_NAMED, analysis.detail
    first = analysis.hypotheses[0]
    assert first.service == scenario.expected
    assert first.cause_kind in KINDS[cause]
    assert first.confidence > 0.5


@pytest.mark.parametrize("shape", world.SHAPES)
@pytest.mark.parametrize("seed", range(10))
def test_a_window_without_a_fault_is_not_enough_evidence(seed: int, shape: str) -> None:
    analysis = run(world.simulate(seed, "none", shape))

    assert analysis.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    assert analysis.reason in {Reason.NO_SYMPTOM, Reason.NOTHING_CLEARS_NOISE}
    assert all(h.confidence <= 0.25 for h in analysis.hypotheses)


@pytest.mark.parametrize("cause", world.CAUSES)
@pytest.mark.parametrize("seed", range(3))
def test_one_minute_of_incident_is_enough_to_rank_the_cause_first(seed: int, cause: str) -> None:
    scenario = world.simulate(seed, cause, incident_minutes=1.3, alert_after=1.0)

    assert run(scenario).hypotheses[0].service == scenario.expected


@pytest.mark.parametrize("cause", world.CAUSES)
@pytest.mark.parametrize("shift", [-2, -1, 1, 2, 3])
def test_an_alert_that_dates_the_start_wrongly_does_not_change_the_cause(cause: str, shift: int) -> None:
    scenario = world.simulate(1, cause, incident_minutes=4.5)
    moved = replace(scenario, started_at=scenario.started_at + timedelta(minutes=shift))

    assert run(moved).hypotheses[0].service == scenario.expected


@pytest.mark.parametrize("cause", [*world.CAUSES, "none"])
@pytest.mark.parametrize("seed", range(3))
def test_renaming_and_reordering_everything_does_not_change_the_result(seed: int, cause: str) -> None:
    scenario = world.simulate(seed, cause)
    names = sorted({s.service for s in scenario.telemetry.services} | {e.server for e in scenario.telemetry.edges})
    shuffled = names[:]
    random.Random(seed).shuffle(shuffled)
    renamed = dict(zip(names, shuffled, strict=True))

    before, after = run(scenario), run(_rename(scenario, renamed, random.Random(seed)))

    assert [renamed[h.service] for h in before.hypotheses] == [h.service for h in after.hypotheses]
    assert [h.score for h in before.hypotheses] == pytest.approx([h.score for h in after.hypotheses])
    assert before.verdict is after.verdict


def _rename(scenario: world.Scenario, to: dict[str, str], rng: random.Random) -> world.Scenario:
    t = scenario.telemetry
    services = [replace(s, service=to[s.service]) for s in t.services]
    edges = [replace(e, client=to[e.client], server=to[e.server]) for e in t.edges]
    rng.shuffle(services)
    rng.shuffle(edges)
    renamed = Telemetry(
        t.grid,
        tuple(services),
        tuple(edges),
        tuple(replace(s, service=to[s.service]) for s in t.signatures),
        tuple(replace(g, service=to[g.service]) for g in t.gauges),
        tuple(replace(c, service=to[c.service]) for c in reversed(t.changes)),
    )
    return replace(scenario, telemetry=renamed, affected=tuple(to[a] for a in scenario.affected))


@pytest.mark.parametrize("cause", world.CAUSES)
@pytest.mark.parametrize("seed", range(3))
def test_a_deploy_of_a_healthy_service_never_changes_the_first_rank(seed: int, cause: str) -> None:
    scenario = world.simulate(seed, cause)
    before = run(scenario).hypotheses[0]
    for service in scenario.shop.services:
        if service == scenario.expected:
            continue
        change = Change("extra", service, "9", scenario.onset - timedelta(seconds=5))

        after = run(world.with_changes(scenario, change)).hypotheses[0]

        assert (after.service, after.cause_kind) == (before.service, before.cause_kind)


def test_deploys_of_healthy_services_alone_name_nothing() -> None:
    scenario = world.simulate(2, "none")
    changes = [Change(f"d-{s}", s, "9", scenario.onset - timedelta(seconds=9)) for s in scenario.shop.services]

    analysis = run(world.with_changes(scenario, *changes))

    assert analysis.verdict is Verdict.NOT_ENOUGH_EVIDENCE


@pytest.mark.parametrize("seed", range(4))
def test_the_noisy_service_is_never_blamed(seed: int) -> None:
    for cause in world.CAUSES:
        scenario = world.simulate(seed, cause)

        assert run(scenario).hypotheses[0].service != scenario.shop.noisy


def test_the_answer_tells_the_path_who_suffers_and_carries_numbers() -> None:
    scenario = world.simulate(3, "bad-deploy", "chain")

    analysis = run(scenario)

    first = analysis.hypotheses[0]
    edges = {(e.client, e.server) for e in scenario.telemetry.edges}
    assert first.chain[0] == scenario.expected
    assert first.chain[-1] in scenario.affected
    assert all((caller, callee) in edges for callee, caller in zip(first.chain, first.chain[1:], strict=False))
    assert set(scenario.affected) <= {*first.impacted, scenario.expected}
    assert first.change_id == f"deploy-{scenario.expected}"
    assert {EvidenceKind.ERROR_ORIGIN, EvidenceKind.DEPLOY} <= {e.kind for e in first.evidence}
    for evidence in first.evidence:
        assert evidence.unit
        assert 0 < evidence.strength <= 1
        assert evidence.start < evidence.end
    assert [h.rank for h in analysis.hypotheses] == list(range(1, len(analysis.hypotheses) + 1))
    assert sum(h.confidence for h in analysis.hypotheses) <= 1


def test_a_dependency_never_seen_before_that_fails_is_named() -> None:
    """An address that appears with the outage has no baseline; its failures are compared with none at all."""
    scenario = world.simulate(4, "dead-dependency")
    renamed = tuple(_appearing(e, scenario) for e in scenario.telemetry.edges)
    telemetry = replace(scenario.telemetry, edges=tuple(e for pair in renamed for e in pair))

    analysis = analyse(telemetry, scenario.affected, scenario.started_at)

    assert analysis.hypotheses[0].service == "10.0.0.7:443"


def _appearing(edge: Edge, scenario: world.Scenario) -> tuple[Edge, ...]:
    if edge.server != scenario.expected:
        return (edge,)
    arrays = ("calls", "errors", "client_ms", "server_ms", "unpaired")
    early = np.arange(scenario.telemetry.grid.length) < world.HISTORY
    before = {name: getattr(edge, name) * early for name in arrays}
    after = {name: getattr(edge, name) * ~early for name in arrays}
    return replace(edge, **before), replace(edge, server="10.0.0.7:443", instrumented=False, **after)


def test_an_earlier_outage_in_the_baseline_does_not_hide_this_one() -> None:
    scenario = world.simulate(5, "slow-database")
    length = scenario.telemetry.grid.length
    earlier = slice(world.HISTORY - 30, world.HISTORY - 24)
    services = []
    for series in scenario.telemetry.services:
        errors = series.errors.copy()
        errors[earlier] = series.requests[earlier] * 0.5
        services.append(replace(series, errors=errors))
    assert length > world.HISTORY

    analysis = run(replace(scenario, telemetry=replace(scenario.telemetry, services=tuple(services))))

    assert analysis.hypotheses[0].service == scenario.expected
    assert analysis.verdict is Verdict.CAUSE_NAMED


def test_no_telemetry_at_all_is_said_so() -> None:
    scenario = world.simulate(1, "none")

    analysis = analyse(Telemetry(scenario.telemetry.grid), ("ghost",), scenario.started_at)

    assert (analysis.verdict, analysis.reason) == (Verdict.NOT_ENOUGH_EVIDENCE, Reason.NO_TELEMETRY)
    assert analysis.hypotheses == ()


def test_a_service_without_history_is_said_to_have_no_baseline() -> None:
    scenario = world.simulate(1, "none")
    fresh = tuple(
        replace(s, requests=np.where(np.arange(s.requests.size) < world.HISTORY, 0, s.requests), errors=s.errors * 0)
        for s in scenario.telemetry.services
    )

    analysis = analyse(Telemetry(scenario.telemetry.grid, fresh), scenario.affected, scenario.started_at)

    assert analysis.reason is Reason.NO_BASELINE


def test_a_grid_too_short_for_a_baseline_is_refused() -> None:
    scenario = world.simulate(1, "none")
    grid = Grid(scenario.telemetry.grid.end - timedelta(minutes=3), scenario.telemetry.grid.end)

    with pytest.raises(ValueError, match="no room for a baseline"):
        analyse(Telemetry(grid), (), scenario.started_at)
