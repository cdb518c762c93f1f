"""What people find about hypotheses: what is recorded, what counts as the cause, and calibration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.incident_service.domain.hypotheses import (
    Finding,
    Judged,
    Standing,
    Suspect,
    calibration,
    cause_of,
    held,
    judge,
)
from services.incident_service.domain.model import Change, EntryKind, Incident, Reason, Severity, Status
from services.incident_service.domain.records import Feedback, FeedbackVerdict

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
INCIDENT = Incident("i1", "t", "checkout: Slow", Status.CLOSED, Severity.MAJOR, ("checkout",), "k", NOW, NOW, version=7)
DB = Suspect(1, "db", "CAUSE_KIND_SLOW_DEPENDENCY", 0.8, "db became slow for those who call it.")
CONFIRMED, REJECTED, REAL = FeedbackVerdict.CONFIRMED, FeedbackVerdict.REJECTED, FeedbackVerdict.REAL_CAUSE


def given(verdict: FeedbackVerdict, suspect: Suspect = DB, actor: str = "ann", **more: str) -> Feedback:
    finding = Finding(verdict, more.get("real_service", ""), more.get("real_cause", ""), more.get("note", ""), actor)
    (record,) = judge(INCIDENT, Judged(3, suspect), finding, "f1", NOW).records
    assert isinstance(record, Feedback)
    return record


def test_feedback_keeps_what_was_judged_and_tells_the_timeline_whatever_the_status() -> None:
    finding = Finding(CONFIRMED, "", "", "the slow query log shows it", "ann")
    decision = judge(INCIDENT, Judged(3, DB), finding, "f1", NOW)
    assert (decision.reason, decision.change, decision.incident) == (Reason.FEEDBACK_GIVEN, Change.UPDATED, INCIDENT)
    (entry,) = decision.entries
    assert (entry.kind, entry.actor) == (EntryKind.HYPOTHESIS, "ann")
    assert entry.text == (
        "Cause confirmed by ann: hypothesis 1 of analysis 3, db: db became slow for those who call it.\n"
        "the slow query log shows it"
    )
    (record,) = decision.records
    assert isinstance(record, Feedback)
    assert (record.analysis_version, record.rank, record.service, record.confidence) == (3, 1, "db", 0.8)


def test_the_timeline_says_what_was_rejected_and_what_it_really_was() -> None:
    rejected = judge(INCIDENT, Judged(3, DB), Finding(REJECTED, "", "", "", "bob"), "f", NOW)
    assert rejected.entries[0].text == "Rejected by bob: hypothesis 1 of analysis 3, db, is not the cause"
    real = judge(INCIDENT, Judged(3, Suspect()), Finding(REAL, "dns", "a zone expired", "", "bob"), "f", NOW)
    assert real.entries[0].text == "Real cause named by bob: dns: a zone expired"


@pytest.mark.parametrize(
    ("feedback", "standing", "service"),
    [
        ((), Standing.SUSPECTED, "db"),
        ((given(CONFIRMED),), Standing.CONFIRMED, "db"),
        ((given(REJECTED),), Standing.REJECTED, "db"),
        ((given(REJECTED), given(CONFIRMED)), Standing.CONFIRMED, "db"),
        ((given(CONFIRMED), given(REJECTED)), Standing.REJECTED, "db"),
        ((given(REJECTED), given(REAL, real_service="dns", real_cause="zone")), Standing.CONFIRMED, "dns"),
        ((given(REAL, real_service="dns", real_cause="zone"), given(REJECTED)), Standing.CONFIRMED, "dns"),
        ((given(REJECTED, Suspect(2, "cart")),), Standing.SUSPECTED, "db"),
    ],
)
def test_the_last_word_of_people_counts_before_the_hypothesis(
    feedback: tuple[Feedback, ...], standing: Standing, service: str
) -> None:
    cause = cause_of(DB, feedback)
    assert (cause.standing, cause.service) == (standing, service)


def test_without_hypothesis_and_feedback_no_cause_is_known() -> None:
    assert cause_of(None, ()).standing is Standing.UNKNOWN
    assert cause_of(Suspect(1, ""), ()).standing is Standing.UNKNOWN


def test_a_real_cause_judges_the_hypothesis_only_when_both_name_a_service() -> None:
    assert held(given(REAL, real_service="db", real_cause="disk")) is True
    assert held(given(REAL, real_service="dns", real_cause="zone")) is False
    assert held(given(REAL, real_cause="somebody pulled a cable")) is None
    assert held(given(REAL, Suspect(), real_service="dns", real_cause="zone")) is None


def test_calibration_counts_each_hypothesis_once_by_the_last_word() -> None:
    first = given(REJECTED)
    feedback = [
        first,
        replace(first, verdict=CONFIRMED),
        replace(first, incident_id="i2", verdict=REJECTED),
        replace(first, incident_id="i3", verdict=CONFIRMED, confidence=1.0),
    ]
    bins, error = calibration(feedback)
    assert [(b.judged, b.confirmed) for b in bins] == [(0, 0)] * 8 + [(2, 1), (0 + 1, 1)]
    assert bins[8].mean_confidence == pytest.approx(0.8)
    assert error == pytest.approx((abs(1.6 - 1) + 0) / 3)
    assert calibration([])[1] == 0.0
