"""Edges that lag behind requests: the analysis looks at what is complete, and is repeated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.correlation_engine.domain.analysis import analyse
from services.correlation_engine.domain.coverage import complete_steps, settled
from services.correlation_engine.domain.model import Edge, FloatArray, Reason, Telemetry, Verdict
from tests.unit.services.correlation_engine import world
from tests.unit.services.correlation_engine.builders import GRID, edge, flat, service, telemetry

LENGTH = GRID.length


def late(found: Telemetry, steps: int, share: float = 0.0) -> Telemetry:
    """Return telemetry in which of the edges of the last steps only a share is known."""
    factor = np.ones(found.grid.length)
    factor[found.grid.length - steps :] = share
    return replace(found, edges=tuple(_scaled(e, factor) for e in found.edges))


def _scaled(e: Edge, by: FloatArray) -> Edge:
    return replace(
        e, calls=e.calls * by, errors=e.errors * by, client_ms=e.client_ms * by, server_ms=e.server_ms * by,
        unpaired=e.unpaired * by,
    )  # fmt: skip


def pair(requests: FloatArray | float = 100.0, calls: FloatArray | float = 100.0) -> Telemetry:
    return telemetry(service("front"), service("cart", requests), edge("front", "cart", calls, server_ms=5.0))


def test_telemetry_whose_edges_are_complete_is_taken_as_it_is() -> None:
    whole = pair()

    assert settled(whole) is whole


@pytest.mark.parametrize(("share", "steps"), [(0.0, LENGTH - 3), (0.4, LENGTH - 3), (0.7, LENGTH)])
def test_the_end_is_left_out_where_less_than_half_of_the_usual_is_paired(share: float, steps: int) -> None:
    assert complete_steps(late(pair(), 3, share)) == steps


def test_every_series_is_cut_and_the_grid_ends_there() -> None:
    cut = settled(late(world.simulate(1, "cpu-starvation").telemetry, 2))

    length = cut.grid.length
    assert cut.grid.end == cut.grid.instant(length)
    assert all(s.requests.size == s.p95_ms.size == length for s in cut.services)
    assert all(e.calls.size == e.server_ms.size == e.unpaired.size == length for e in cut.edges)
    assert all(s.counts.size == length for s in cut.signatures)
    assert cut.gauges
    assert all(g.values.size == length for g in cut.gauges)


def test_a_callee_that_dies_or_is_called_less_is_not_a_lag() -> None:
    assert complete_steps(pair(flat(100, 0), flat(100, 0))) == LENGTH
    assert complete_steps(pair(flat(100, 5), flat(100, 5))) == LENGTH


def test_calls_that_stop_for_longer_than_a_lag_lasts_are_not_awaited() -> None:
    assert complete_steps(late(pair(), 30)) == LENGTH - 10
    assert complete_steps(late(pair(), 60)) == LENGTH


def test_a_service_that_users_call_beside_its_callers_is_judged_by_its_own_share() -> None:
    assert complete_steps(pair(requests=100.0, calls=20.0)) == LENGTH
    assert complete_steps(late(pair(requests=100.0, calls=20.0), 2)) == LENGTH - 2


def test_without_calls_or_requests_there_is_nothing_to_wait_for() -> None:
    assert complete_steps(telemetry(service("front"))) == LENGTH
    assert complete_steps(telemetry(service("front"), edge("front", "db"))) == LENGTH
    assert complete_steps(Telemetry(GRID)) == LENGTH


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cause", ["dead-dependency", "slow-database"])
def test_a_caller_is_not_blamed_for_calls_that_are_not_known_yet(seed: int, cause: str) -> None:
    scenario = world.simulate(seed, cause)
    steps = scenario.telemetry.grid.length - scenario.telemetry.grid.index(scenario.onset)

    early = analyse(late(scenario.telemetry, steps), scenario.affected, scenario.started_at)
    later = analyse(scenario.telemetry, scenario.affected, scenario.started_at)

    assert early.behind
    assert (early.verdict, early.reason) == (Verdict.NOT_ENOUGH_EVIDENCE, Reason.EDGES_BEHIND)
    assert "Calls between services are known up to" in early.detail
    assert (later.behind, later.hypotheses[0].service) == (False, scenario.expected)


def test_while_calls_are_on_their_way_a_caller_is_not_named_and_who_calls_nobody_is() -> None:
    caller = telemetry(
        service("front", error_share=flat(0.0, 0.9)), service("cart"), edge("front", "cart", server_ms=5.0)
    )
    callee = telemetry(
        service("front"), service("cart", error_share=flat(0.0, 0.9)), edge("front", "cart", server_ms=5.0)
    )
    since = GRID.instant(61)

    early, whole = analyse(late(caller, 1), ("front",), since), analyse(caller, ("front",), since)
    leaf = analyse(late(callee, 1), ("cart",), since)

    assert (early.verdict, early.reason) == (Verdict.NOT_ENOUGH_EVIDENCE, Reason.EDGES_BEHIND)
    assert early.hypotheses[0].confidence < whole.hypotheses[0].confidence
    assert (whole.verdict, whole.hypotheses[0].service) == (Verdict.CAUSE_NAMED, "front")
    assert (leaf.verdict, leaf.hypotheses[0].service, leaf.behind) == (Verdict.CAUSE_NAMED, "cart", True)
