"""Lost behaviour, network gaps, timing and confidence on hand-made series."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from services.correlation_engine.domain import confidence, lost_behaviour, network_gap, stats, steps, timing
from services.correlation_engine.domain.model import EvidenceKind, FloatArray, LogTransition, Telemetry
from tests.unit.services.correlation_engine.builders import (
    GRID,
    WINDOW,
    edge,
    flat,
    gauge,
    service,
    telemetry,
)


def transition(name: str, ran: FloatArray, followed: FloatArray, signature: str = "A#1") -> LogTransition:
    """Return how often `B#2` came after a statement; with an empty one, spans that log beside requests."""
    return LogTransition(name, signature, "B#2" if signature else "", ran, followed)


def lost(*transitions: LogTransition) -> dict[str, float]:
    """Return the work not done per service."""
    found = lost_behaviour.score(replace(telemetry(), transitions=transitions), WINDOW)
    return {e.service: e.excess_lost for e in found}


def test_a_statement_that_no_longer_follows_is_lost_behaviour() -> None:
    found = lost_behaviour.score(replace(telemetry(), transitions=(transition("app", flat(20), flat(20, 1)),)), WINDOW)

    assert [(e.kind, e.service, e.excess_lost, e.strength) for e in found] == [
        (EvidenceKind.LOST_BEHAVIOUR, "app", 38.0, 1.0)
    ]
    assert "after A#1 app no longer logs B#2" in found[0].statement


@pytest.mark.parametrize(
    ("before", "during"),
    [(20, 20), (4, 0), (20, 19)],
    ids=["goes on", "one of several paths", "a few less"],
)
def test_what_goes_on_or_was_never_the_rule_is_not_lost(before: float, during: float) -> None:
    assert lost(transition("app", flat(20), flat(before, during))) == {}


def test_requests_that_log_nothing_are_lost_behaviour() -> None:
    assert lost(transition("app", flat(50), flat(50, 10), signature="")) == {"app": 80.0}


def test_fewer_requests_lose_nothing() -> None:
    less = flat(50, 5)

    assert lost(transition("app", less, less), transition("app", less, less, signature="")) == {}


def gaps(*parts: object) -> dict[str, float]:
    """Return per service the milliseconds that network gaps put on it."""
    found = network_gap.score(telemetry(*parts), WINDOW)  # type: ignore[arg-type]
    return {e.service: round(e.excess_ms) for e in found}


def test_a_gap_in_all_calls_a_node_serves_is_put_on_the_callee() -> None:
    slow = flat(12, 112)
    nodes = [service(n) for n in ("a", "b", "slow", "other")]

    found = gaps(
        *nodes, edge("a", "slow", ms=slow, server_ms=10), edge("b", "slow", ms=slow, server_ms=10),
        edge("a", "other", ms=12, server_ms=10),
    )  # fmt: skip

    assert found == {"slow": 2 * 2 * 100 * 100}


def test_a_gap_in_all_calls_a_node_makes_is_put_on_the_caller() -> None:
    slow = flat(12, 112)
    nodes = [service(n) for n in ("slow", "b", "c", "d")]

    found = gaps(
        *nodes, edge("slow", "c", ms=slow, server_ms=10), edge("slow", "d", ms=slow, server_ms=10),
        edge("b", "c", ms=12, server_ms=10), edge("b", "d", ms=12, server_ms=10),
    )  # fmt: skip

    assert found == {"slow": 2 * 2 * 100 * 100}


def test_time_the_callee_reports_itself_is_no_gap() -> None:
    slow = flat(12, 112)

    assert gaps(service("a"), service("b"), edge("a", "b", ms=slow, server_ms=slow - 2)) == {}


def test_evidence_that_was_there_before_the_symptom_agrees_less_than_what_came_with_it() -> None:
    long_gone = flat(0.2)
    long_gone[WINDOW.incident.start - 4 :] = 0.9
    symptom = service("front", ms=flat(20, 80))
    found = timing.courses(telemetry(symptom), ["front"], WINDOW)
    evidence = lost_behaviour.score(
        replace(telemetry(), transitions=(transition("app", flat(20), flat(20, 1)),)), WINDOW
    )[0]

    assert timing.agreement(evidence, found, WINDOW) == pytest.approx(1.0)
    assert timing.agreement(replace(evidence, course=long_gone), found, WINDOW) < 0.6
    assert timing.agreement(replace(evidence, course=-evidence.course), found, WINDOW) == timing.LEAST  # type: ignore[operator]


def test_evidence_agrees_when_there_is_nothing_to_compare() -> None:
    evidence = lost_behaviour.score(
        replace(telemetry(), transitions=(transition("app", flat(20), flat(20, 1)),)), WINDOW
    )[0]

    assert timing.courses(telemetry(service("calm")), ["calm"], WINDOW) == []
    assert timing.agreement(evidence, [], WINDOW) == 1.0
    assert timing.agreement(replace(evidence, course=None), [flat(1, 2)], WINDOW) == 1.0
    assert timing.agreement(replace(evidence, course=flat(1)), [flat(1, 2)], WINDOW) == 1.0


def test_confidences_are_probabilities_in_the_order_of_the_scores() -> None:
    found = confidence.confidences([0.9, 0.3, 0.1])

    assert found == sorted(found, reverse=True)
    assert 0 < sum(found) <= 1
    assert found[0] > confidence.confidences([0.9, 0.8])[0]


def test_no_suspicion_is_no_confidence() -> None:
    assert confidence.confidences([]) == []
    assert confidence.confidences([0.0, 0.0]) == [0.0, 0.0]


def test_surprise_is_measured_against_the_largest_usual_deviation() -> None:
    usual = slice(0, WINDOW.baseline.stop)
    calm, busy = flat(0.01), flat(0.01)
    calm[61:], busy[61:] = 0.4, 0.4
    busy[[10, 30]] = 0.4
    world = telemetry(service("calm", error_share=calm), service("busy", error_share=busy), gauge("cpu", flat(0.3, 1)))

    names, found = steps.surprises(world, usual)

    rows = {name: row for name, row in zip(names, found, strict=True) if row.any()}
    assert rows["calm"][61] > 9
    assert rows["busy"][61] == pytest.approx(1.0, abs=0.01)
    assert rows["cpu"][60] == 0
    assert rows["cpu"][61] > 1


def test_without_series_there_is_no_surprise() -> None:
    names, found = steps.surprises(Telemetry(GRID), slice(0, 60))

    assert (names, found.shape) == ([], (0, GRID.length))


def test_row_quantiles_are_numpys_with_gaps_ignored() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(20, 31))
    values[rng.random(values.shape) < 0.3] = math.nan
    values[3] = math.nan

    for q in (0.1, 0.5, 0.9):
        found = stats.row_quantile(values, q)[:, 0]
        assert math.isnan(found[3])
        rest = np.arange(20) != 3
        assert found[rest] == pytest.approx(np.nanquantile(values[rest], q, axis=1))


def test_an_earlier_outage_does_not_make_this_one_usual() -> None:
    usual = slice(0, WINDOW.baseline.stop)
    again = flat(0.01)
    again[10:13], again[61:] = 0.9, 0.4

    _names, found = steps.surprises(telemetry(service("again", error_share=again)), usual)

    assert found[0][61] > 9
    assert not found[0][10:13].any()
