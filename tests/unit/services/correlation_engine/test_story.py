"""Change, first failure, blast radius."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from services.correlation_engine.domain import symptoms
from services.correlation_engine.domain.model import Evidence, EvidenceKind, FloatArray, StoryPart, Window
from services.correlation_engine.domain.story import MAX_VICTIMS, failing_since, tell
from tests.unit.services.correlation_engine.builders import GRID, WINDOW, flat, service, telemetry


def evidence(kind: EvidenceKind, strength: float, course: FloatArray | None = None) -> Evidence:
    return Evidence(
        kind, "payments", f"payments: {kind.value}.", 1.0, 0.0, "1", strength, WINDOW.onset, WINDOW.end, course=course
    )


SUFFERING = symptoms.measure(
    telemetry(
        service("checkout", error_share=flat(0.001, 0.3)), service("web", ms=flat(20, 900)), service("calm"),
        service("payments"),
    ),
    WINDOW,
)  # fmt: skip


def test_the_story_runs_from_the_change_over_the_first_failure_to_those_who_suffer() -> None:
    found = [
        evidence(EvidenceKind.DEPLOY, 0.95),
        evidence(EvidenceKind.LOG_SIGNATURE, 0.4),
        evidence(EvidenceKind.ERROR_ORIGIN, 0.9),
    ]
    steps = tell(found, ("checkout", "web"), SUFFERING, WINDOW)
    assert [(s.part, s.service) for s in steps] == [
        (StoryPart.CHANGE, "payments"),
        (StoryPart.FIRST_FAILURE, "payments"),
        (StoryPart.BLAST_RADIUS, "checkout"),
        (StoryPart.BLAST_RADIUS, "web"),
    ]
    assert steps[1].statement == "payments: error_origin."
    assert steps[2].statement == "checkout fails 30 % of its requests (0.1 % before)."
    assert steps[3].statement == "web answers in 1.80 s at the 95th percentile (40 ms before)."


def test_without_a_deploy_there_is_no_change_and_without_evidence_no_first_failure() -> None:
    assert [s.part for s in tell([evidence(EvidenceKind.ERROR_ORIGIN, 0.9)], (), {}, WINDOW)] == [
        StoryPart.FIRST_FAILURE
    ]
    assert tell([], (), {}, WINDOW) == ()


def test_a_long_blast_radius_is_cut_and_counted() -> None:
    names = [f"s{n}" for n in range(MAX_VICTIMS + 4)]
    steps = tell([], names, {}, WINDOW)
    assert len(steps) == MAX_VICTIMS + 1
    assert steps[0].statement == "s0 calls it, directly or through others."
    assert steps[-1].statement == "So do s5, s6, s7 and 1 more."


def test_the_first_failure_is_when_the_measure_left_its_usual() -> None:
    window = Window(GRID, slice(0, 50), slice(52, 63))
    late = np.full(GRID.length, 1.0)
    late[57:] = 9.0
    assert failing_since(evidence(EvidenceKind.SELF_LATENCY, 1, late), window) == window.onset + timedelta(minutes=5)
    drop = np.full(GRID.length, 1.0)
    drop[52:] = 0.0
    assert failing_since(evidence(EvidenceKind.TRAFFIC_CHANGE, 1, drop), window) == window.onset
    silent = np.full(GRID.length, np.nan)
    assert failing_since(evidence(EvidenceKind.SELF_LATENCY, 1, silent), window) == WINDOW.onset
    assert failing_since(evidence(EvidenceKind.SELF_LATENCY, 1), window) == WINDOW.onset
