"""What tells two answers apart, and addresses that are safe whatever a service is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from services.correlation_engine.domain.model import CauseKind, EvidenceKind, StoryPart, Verdict
from services.correlation_engine.encode import PARTS, explain, incident_page, news, service_page

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def answer(
    *suspects: tuple[str, float], verdict: pb.Verdict.ValueType = pb.VERDICT_CAUSE_NAMED, kinds: tuple[int, ...] = (1,)
) -> HypothesesPublished:
    published = HypothesesPublished(verdict=verdict)
    for service, confidence in suspects:
        hypothesis = published.hypotheses.add(service=service, confidence=confidence)
        for kind in kinds:
            hypothesis.evidence.add(kind=pb.EvidenceKind.ValueType(kind))
    return published


BEFORE = answer(("a", 0.80), ("b", 0.1))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (None, BEFORE, "first"),
        (BEFORE, BEFORE, None),
        (BEFORE, answer(("a", 0.85), ("b", 0.05)), None),
        (BEFORE, answer(("a", 0.65), ("b", 0.1)), "confidence"),
        (BEFORE, answer(("b", 0.80), ("a", 0.1)), "ranking"),
        (BEFORE, answer(("a", 0.80)), "ranking"),
        (BEFORE, answer(("a", 0.80), ("b", 0.1), verdict=pb.VERDICT_NOT_ENOUGH_EVIDENCE), "verdict"),
        (BEFORE, answer(("a", 0.80), ("b", 0.1), kinds=(1, 7)), "evidence"),
        (answer(), answer(), None),
    ],
)
def test_only_a_material_difference_is_news(
    old: HypothesesPublished | None, new: HypothesesPublished, expected: str | None
) -> None:
    assert news(old, new) == expected


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (None, BEFORE, "The first analysis names a."),
        (None, answer(verdict=pb.VERDICT_NOT_ENOUGH_EVIDENCE), "The first analysis names no cause."),
        (BEFORE, answer(("a", 0.655), ("b", 0.1)), "a went from 80 % to 66 % confident."),
        (BEFORE, answer(("b", 0.80), ("a", 0.1)), "b comes first instead of a."),
        (BEFORE, answer(("a", 0.80)), "a stays first; behind it nobody instead of b."),
        (BEFORE, answer(), "Nobody is left."),
        (BEFORE, answer(("a", 0.8), ("b", 0.1), verdict=pb.VERDICT_NOT_ENOUGH_EVIDENCE), "a is no longer named."),
        (
            answer(("a", 0.8), verdict=pb.VERDICT_NOT_ENOUGH_EVIDENCE),
            answer(("a", 0.8)),
            "Evidence now suffices to name a.",
        ),
        (
            BEFORE,
            answer(("a", 0.8), ("b", 0.1), kinds=(7, 9)),
            "a: new evidence: deploy, network gap; no longer: error origin.",
        ),
    ],
)
def test_each_version_says_why_it_was_published(
    old: HypothesesPublished | None, new: HypothesesPublished, says: str
) -> None:
    why = news(old, new)
    assert why is not None
    told = explain(old, new, why)
    assert told.change_statement == says
    assert pb.AnalysisChange.Name(told.change) == f"ANALYSIS_CHANGE_{why.upper()}"
    assert not new.change_statement


def test_every_class_of_evidence_has_its_place_on_a_services_page() -> None:
    page = (Path(__file__).parents[4] / "services/console/templates/service.html").read_text()
    assert PARTS.keys() == set(EvidenceKind)
    for part in PARTS.values():
        assert f'id="{part}"' in page, part


def test_leads_that_come_and_go_are_no_news() -> None:
    more = answer(("a", 0.80), ("b", 0.1), ("c", 0.02))
    more.hypotheses[2].cause_kind = pb.CAUSE_KIND_UNCLEAR
    assert news(BEFORE, more) is None
    assert news(more, BEFORE) is None


def test_addresses_are_escaped() -> None:
    assert service_page("a/b c?d", NOON, NOON + timedelta(minutes=2)) == (
        "/services/a%2Fb%20c%3Fd?from=2026-03-02T12%3A00%3A00Z&to=2026-03-02T12%3A02%3A00Z"
    )
    assert incident_page("../x") == "/incidents/..%2Fx"


def test_every_kind_of_the_domain_has_its_name_in_the_contract() -> None:
    assert {f"CAUSE_KIND_{k.name}" for k in CauseKind} == set(pb.CauseKind.keys()) - {"CAUSE_KIND_UNSPECIFIED"}
    assert {f"EVIDENCE_KIND_{k.name}" for k in EvidenceKind} == set(pb.EvidenceKind.keys()) - {
        "EVIDENCE_KIND_UNSPECIFIED"
    }
    assert {f"STORY_PART_{p.name}" for p in StoryPart} == set(pb.StoryPart.keys()) - {"STORY_PART_UNSPECIFIED"}
    assert {f"VERDICT_{v.name}" for v in Verdict} == set(pb.Verdict.keys()) - {"VERDICT_UNSPECIFIED"}
