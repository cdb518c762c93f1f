"""What is listed behind the suspects, and that it never becomes one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from services.correlation_engine.domain import confidence, leads
from services.correlation_engine.domain.analysis import analyse_window
from services.correlation_engine.domain.fusion import Scene
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import Analysis, CauseKind, Change, Telemetry, Verdict
from tests.unit.services.correlation_engine.builders import WINDOW, edge, flat, gauge, service, telemetry

RNG = np.random.default_rng(5)
UNEVEN = flat(0) + RNG.normal(100, 15, flat(0).size)
ALONE = Scene(CallGraph([]), frozenset(), (0.5, 0.5), frozenset(), {})


def slower(by: float) -> Telemetry:
    """Return a service whose latency, which varies by 15 ms, is higher during the incident."""
    ms = UNEVEN.copy()
    ms[WINDOW.incident] = 100 + by
    return telemetry(service("slow", ms=ms), service("calm", ms=UNEVEN))


def analysed(world: Telemetry) -> Analysis:
    return analyse_window(world, (), WINDOW)


def test_what_moved_without_standing_out_is_listed_and_names_nothing() -> None:
    answer = analysed(slower(50))
    assert answer.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    (lead,) = answer.hypotheses
    assert (lead.rank, lead.service, lead.cause_kind) == (1, "slow", CauseKind.UNCLEAR)
    assert lead.confidence == pytest.approx(confidence.MOVED)
    assert "worth a look" in lead.statement
    assert "The mean latency of slow reached 150 ms" in lead.evidence[0].statement


def test_what_does_not_show_at_all_is_no_lead() -> None:
    assert analysed(slower(10)).hypotheses == ()


def test_a_resource_at_its_limit_is_a_lead_even_with_nothing_before_to_compare_with() -> None:
    known = np.full(flat(0).size, np.nan)
    known[WINDOW.incident] = 0.99
    answer = analysed(telemetry(gauge("full", known), gauge("free", known * 0.5)))
    assert answer.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    (lead,) = answer.hypotheses
    assert lead.service == "full"
    assert lead.confidence == pytest.approx(confidence.AT_LIMIT)
    assert "(nothing to compare with)" in lead.evidence[0].statement


def test_a_resource_that_is_always_nearly_used_up_is_no_lead() -> None:
    assert analysed(telemetry(gauge("cache", flat(0.87)))).hypotheses == ()


def test_leads_come_behind_every_suspect_and_fill_three_places_only() -> None:
    world = telemetry(
        service("failing", error_share=flat(0.001, 0.5)),
        *(service(f"s{n}", ms=slower(45 + n).services[0].duration_ms / 100) for n in range(5)),
    )
    answer = analysed(world)
    assert answer.verdict is Verdict.CAUSE_NAMED
    assert [h.service for h in answer.hypotheses] == ["failing", "s4", "s3"]
    assert [h.rank for h in answer.hypotheses] == [1, 2, 3]
    scores = [h.score for h in answer.hypotheses]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3
    assert sum(h.confidence for h in answer.hypotheses) <= 1
    alone = analysed(telemetry(service("failing", error_share=flat(0.001, 0.5)))).hypotheses[0]
    assert (alone.score, alone.confidence) == (answer.hypotheses[0].score, answer.hypotheses[0].confidence)


def test_what_the_affected_services_do_not_depend_on_is_no_lead() -> None:
    far, near = slower(60).services[0], slower(50).services[0]
    world = telemetry(
        service("far", ms=far.duration_ms / 100), service("near", ms=near.duration_ms / 100), edge("shop", "near"),
    )  # fmt: skip
    scene = Scene(CallGraph.of(world.edges), frozenset({"shop"}), (0.5, 0.5), frozenset({"shop"}), {})
    assert [e.service for e in leads.find(world, WINDOW, (), ALONE)] == ["far", "near"]
    assert [e.service for e in leads.find(world, WINDOW, (), scene)] == ["near"]


def test_a_deploy_of_a_lead_is_told_with_it_and_makes_it_no_suspect() -> None:
    at = WINDOW.onset - timedelta(minutes=2)
    answer = analysed(replace(slower(50), changes=(Change("d1", "slow", "v2", at), Change("d2", "calm", "v2", at))))
    assert answer.verdict is Verdict.NOT_ENOUGH_EVIDENCE
    (lead,) = answer.hypotheses
    assert [e.change_id for e in lead.evidence] == ["", "d1"]
    assert (lead.cause_kind, lead.change_id) == (CauseKind.UNCLEAR, "")


def test_with_three_suspects_there_is_no_room() -> None:
    assert leads.find(slower(50), WINDOW, ("a", "b", "c"), ALONE) == []
    assert leads.find(slower(50), WINDOW, ("a", "b", "c", "d"), ALONE) == []
