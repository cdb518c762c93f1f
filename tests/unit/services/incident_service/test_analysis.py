"""What an analysis of causes does to its incident."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from services.incident_service.domain.analysis import Analysis, Conclusion, StoredAnalysis, apply_analysis
from services.incident_service.domain.model import Change, EntryKind, Incident, Reason, Severity, Status

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
INCIDENT = Incident("i1", "t", "checkout: Slow", Status.OPEN, Severity.MAJOR, ("checkout",), "k", NOW, NOW)
NAMED = Analysis("i1", 1, Conclusion("db", "SLOW"), "queries take 9 times longer", 0.9, ("checkout", "cart"), NOW)
UNNAMED = Analysis("i1", 1, Conclusion(), "nothing stands out", 0.0, ("cart",), NOW)


def test_a_named_cause_is_told_and_widens_the_services_once_each() -> None:
    decision = apply_analysis(INCIDENT, NAMED, None, NOW)
    assert (decision.reason, decision.change) == (Reason.CAUSE_NAMED, Change.UPDATED)
    assert decision.incident == replace(INCIDENT, services=("checkout", "cart"), version=2, changed_at=NOW)
    (entry,) = decision.entries
    assert entry.kind is EntryKind.HYPOTHESIS
    assert entry.text == "Likely cause: db: queries take 9 times longer (90 % confident)"


def test_a_lack_of_evidence_is_told_and_widens_nothing() -> None:
    decision = apply_analysis(INCIDENT, UNNAMED, None, NOW)
    assert decision.reason is Reason.NOT_ENOUGH_EVIDENCE
    assert decision.incident == replace(INCIDENT, version=2, changed_at=NOW)
    assert decision.entries[0].text == "Not enough evidence to name a cause: nothing stands out"


def test_an_analysis_that_is_not_newer_is_ignored() -> None:
    decision = apply_analysis(INCIDENT, NAMED, StoredAnalysis(1, Conclusion()), NOW)
    assert (decision.reason, decision.change) == (Reason.OLD_ANALYSIS, None)


def test_the_same_conclusion_is_not_told_twice() -> None:
    seen = replace(INCIDENT, services=("checkout", "cart"))
    again = replace(NAMED, version=2, confidence=0.95)
    decision = apply_analysis(seen, again, StoredAnalysis(1, NAMED.conclusion), NOW)
    assert (decision.reason, decision.change) == (Reason.SAME_CONCLUSION, None)


def test_the_same_cause_with_a_new_victim_is_told() -> None:
    seen = replace(INCIDENT, services=("checkout", "cart"))
    wider = replace(NAMED, version=2, impacted=("cart", "frontend"))
    decision = apply_analysis(seen, wider, StoredAnalysis(1, NAMED.conclusion), NOW)
    assert decision.incident is not None
    assert decision.incident.services == ("checkout", "cart", "frontend")


def test_a_changed_mind_is_told_also_after_the_end() -> None:
    ended = replace(INCIDENT, status=Status.RESOLVED, resolved_at=NOW, resolved_by="ann")
    decision = apply_analysis(ended, replace(NAMED, version=2), StoredAnalysis(1, Conclusion("cache", "X")), NOW)
    assert decision.reason is Reason.CAUSE_NAMED
    assert decision.incident is not None
    assert decision.incident.status is Status.RESOLVED
