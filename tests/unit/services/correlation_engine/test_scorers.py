"""Each class of evidence on hand-made series."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest

from services.correlation_engine.domain import (
    changes,
    error_origin,
    saturation,
    self_latency,
    signatures,
    traffic,
    unhealthy_dependency,
)
from services.correlation_engine.domain.graph import CallGraph
from services.correlation_engine.domain.model import Change, EvidenceKind, Telemetry
from tests.unit.services.correlation_engine.builders import (
    GRID,
    START,
    WINDOW,
    edge,
    flat,
    gauge,
    service,
    signature,
    telemetry,
)

ONSET = WINDOW.onset


def test_errors_begin_where_no_failing_call_explains_them() -> None:
    failing = flat(0.001, 0.3)
    world = telemetry(
        service("front", error_share=failing),
        service("back", error_share=failing),
        edge("front", "back", error_share=failing, server_ms=9.0),
    )

    found = error_origin.score(world, WINDOW)

    assert [e.service for e in found] == ["back"]
    assert found[0].observed == pytest.approx(0.3)
    assert found[0].baseline == pytest.approx(0.001)
    assert found[0].unit == "1"
    assert found[0].excess_errors == pytest.approx(0.299 * 200, rel=0.01)
    assert "30 % of 200 requests to back failed" in found[0].statement


def test_steady_errors_are_no_evidence() -> None:
    assert error_origin.score(telemetry(service("noisy", error_share=0.2)), WINDOW) == []


def test_one_failed_request_is_an_anecdote() -> None:
    quiet = telemetry(service("quiet", requests=2.0, error_share=flat(0, 0.5)))

    assert error_origin.score(quiet, WINDOW) == []


def test_own_errors_are_found_beside_tolerated_failing_calls() -> None:
    world = telemetry(
        service("shop", error_share=flat(0.0, 0.3)), edge("shop", "reviews", error_share=0.1, server_ms=5.0)
    )

    assert [e.service for e in error_origin.score(world, WINDOW)] == ["shop"]


def test_time_is_credited_to_the_service_that_spends_it() -> None:
    world = telemetry(
        service("front", ms=flat(30, 130)),
        service("back", ms=flat(20, 120)),
        edge("front", "back", ms=flat(21, 121), server_ms=flat(20, 120)),
    )

    found = self_latency.score(world, WINDOW)

    assert [e.service for e in found] == ["back"]
    assert (found[0].observed, found[0].baseline, found[0].unit) == (120, 20, "ms")
    assert found[0].excess_ms == pytest.approx(100 * 200)


def test_calls_that_end_sooner_do_not_make_a_caller_look_slow() -> None:
    """Two parallel calls: one fails at once, so the sum of calls falls while the caller waits for the other."""
    world = telemetry(
        service("front", ms=60), edge("front", "fast", ms=flat(50, 1), server_ms=1.0), edge("front", "slow", ms=58)
    )

    assert self_latency.score(world, WINDOW) == []


def test_a_slow_node_without_telemetry_is_seen_by_its_callers() -> None:
    world = telemetry(service("app", ms=flat(20, 300)), edge("app", "db", ms=flat(5, 285)))

    found = unhealthy_dependency.score(world, WINDOW)

    assert [(e.service, e.unit) for e in found] == [("db", "ms")]
    assert (found[0].observed, found[0].baseline) == (285, 5)
    assert "as its callers (app) see it" in found[0].statement
    assert self_latency.score(world, WINDOW) == []


def test_a_silent_service_is_told_by_failing_calls() -> None:
    world = telemetry(
        service("front"),
        service("gone", requests=flat(100, 0)),
        edge("front", "gone", error_share=flat(0, 0.98), ms=2.0, server_ms=flat(1.5, 0)),
    )

    failures = [e for e in unhealthy_dependency.score(world, WINDOW) if e.unit == "1"]

    assert [e.service for e in failures] == ["gone"]
    assert "reports almost no requests any more" in failures[0].statement


def test_failures_the_callee_reports_itself_are_not_held_against_it_twice() -> None:
    failing = flat(0.0, 0.4)
    world = telemetry(service("back", error_share=failing), edge("front", "back", error_share=failing, server_ms=9.0))

    assert unhealthy_dependency.score(world, WINDOW) == []


def test_a_resource_at_its_limit_is_saturation_and_a_busy_one_is_weak_evidence() -> None:
    world = telemetry(
        gauge("starved", flat(0.3, 0.99)),
        gauge("busy", flat(0.3, 0.6)),
        gauge("always", flat(0.99)),
        gauge("percent", flat(30, 98), "system.memory.utilization", "%"),
        gauge("queue", flat(3, 99), "queue.depth", "{message}"),
    )

    found = saturation.score(world, WINDOW)

    assert {e.service: round(e.observed, 2) for e in found} == {"starved": 0.99, "busy": 0.6, "percent": 0.98}
    assert {e.service: e.strength for e in found if e.strength > 0.6} == {"starved": 1.0, "percent": 1.0}


def test_usage_without_a_known_limit_is_weaker_than_a_full_resource() -> None:
    found = saturation.score(telemetry(gauge("app", flat(1e8, 9e8), "process.memory.usage", "By")), WINDOW)

    assert [round(e.strength, 2) for e in found] == [0.6]


def test_a_gauge_that_stops_reporting_is_no_evidence() -> None:
    assert saturation.score(telemetry(gauge("app", flat(0.3, math.nan))), WINDOW) == []


def test_new_and_spiking_errors_are_evidence_and_steady_or_info_lines_are_not() -> None:
    world = telemetry(
        signature("new", flat(0, 20), text="NullReference <*>"),
        signature("spiking", flat(2, 60)),
        signature("steady", flat(30)),
        signature("chatty", flat(0, 500), severity=9),
        signature("warned", flat(0, 50), severity=13),
    )

    found = {e.service: e for e in signatures.score(world, WINDOW)}

    assert set(found) == {"new", "spiking", "warned"}
    assert "never before" in found["new"].statement
    assert found["warned"].strength == 0.5
    assert (found["spiking"].observed, found["spiking"].baseline) == (60, 2)


def test_at_most_two_signatures_speak_for_a_service() -> None:
    texts = ("disk is full", "no route to host", "bad checksum", "lease lost", "quota exceeded")
    many = telemetry(*(signature("app", flat(0, 10 + i), text=text) for i, text in enumerate(texts)))

    assert [e.observed for e in signatures.score(many, WINDOW)] == [14, 13]


@pytest.mark.parametrize(("during", "expected"), [(20.0, 1), (400.0, 1), (110.0, 0)])
def test_traffic_that_rose_or_fell_is_context(during: float, expected: int) -> None:
    assert len(traffic.score(telemetry(service("app", requests=flat(100, during))), WINDOW)) == expected


def deployed(seconds_before: float, seconds_long: float | None = None, name: str = "app") -> Change:
    start = ONSET - timedelta(seconds=seconds_before)
    end = None if seconds_long is None else start + timedelta(seconds=seconds_long)
    return Change(f"deploy-{name}", name, "v2", start, end)


@pytest.mark.parametrize(
    ("change", "minutes"),
    [
        (deployed(120), 2.0),
        (deployed(600, 700), 0.0),
        (deployed(600, 300), 5.0),
        (deployed(-30), 0.0),
        (deployed(-61), None),
    ],
)
def test_the_lag_counts_from_the_end_of_the_roll_out_to_the_onset(change: Change, minutes: float | None) -> None:
    lag = changes.lag(change, WINDOW)

    assert (lag.total_seconds() / 60 if lag is not None else None) == minutes


def test_a_deploy_weighs_less_the_longer_ago_it_was() -> None:
    world = Telemetry(GRID, changes=(deployed(0), deployed(420, name="b"), deployed(3600, name="old")))

    found = {e.service: e for e in changes.score(world, WINDOW)}

    assert found["app"].strength == 1
    assert found["b"].strength == pytest.approx(math.exp(-1))
    assert "old" not in found
    assert found["b"].change_id == "deploy-b"


def test_a_deploy_reaches_its_own_service_and_a_little_of_a_neighbour_that_suffers_more() -> None:
    evidence = {e.service: e for e in changes.score(Telemetry(GRID, changes=(deployed(0),)), WINDOW)}
    graph = CallGraph([("app", "db"), ("db", "disk")])

    assert changes.strongest(evidence, graph, "app", {})[0] == 1
    assert changes.strongest(evidence, graph, "db", {"app": 0.5, "db": 0.6})[0] == pytest.approx(changes.PER_HOP / 2)
    assert changes.strongest(evidence, graph, "db", {"app": 0.6, "db": 0.5}) == (0.0, None)
    assert changes.strongest(evidence, graph, "db", {"app": 0.0, "db": 0.5}) == (0.0, None)
    assert changes.strongest(evidence, graph, "disk", {"app": 1.0}) == (0.0, None)


def test_every_scorer_is_silent_about_nothing() -> None:
    empty = Telemetry(GRID)

    for scorer in (error_origin, self_latency, unhealthy_dependency, saturation, traffic, signatures, changes):
        assert scorer.score(empty, WINDOW) == []


def test_scorers_bear_series_that_are_all_zero() -> None:
    zero = flat(0)
    world = telemetry(service("a", requests=zero), edge("a", "b", calls=zero), gauge("a", zero), signature("a", zero))

    for scorer in (error_origin, self_latency, unhealthy_dependency, saturation, traffic, signatures):
        assert scorer.score(world, WINDOW) == []


def test_evidence_kinds_cover_every_scorer() -> None:
    assert {k.value for k in EvidenceKind} == {
        "error_origin", "self_latency", "resource_saturation", "unhealthy_dependency", "traffic_change",
        "log_signature", "deploy", "lost_behaviour", "network_gap",
    }  # fmt: skip


def test_the_grid_counts_a_step_that_has_only_begun() -> None:
    assert GRID.length == 63
    assert GRID.index(START + timedelta(minutes=62, seconds=59)) == 62
    assert np.array_equal(GRID.zeros(), np.zeros(63))
