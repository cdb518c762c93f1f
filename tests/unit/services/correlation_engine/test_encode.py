"""What tells two answers apart, and addresses that are safe whatever a service is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from services.correlation_engine.domain.model import CauseKind, EvidenceKind, Verdict
from services.correlation_engine.encode import Links, news

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


def test_leads_that_come_and_go_are_no_news() -> None:
    more = answer(("a", 0.80), ("b", 0.1), ("c", 0.02))
    more.hypotheses[2].cause_kind = pb.CAUSE_KIND_UNCLEAR
    assert news(BEFORE, more) is None
    assert news(more, BEFORE) is None


def test_addresses_are_escaped() -> None:
    links = Links("http://console.test/")

    assert links.service("a/b c?d", NOON, NOON + timedelta(minutes=2)) == (
        "http://console.test/services/a%2Fb%20c%3Fd?from=2026-03-02T12%3A00%3A00Z&to=2026-03-02T12%3A02%3A00Z"
    )
    assert links.incident("../x") == "http://console.test/incidents/..%2Fx"


def test_every_kind_of_the_domain_has_its_name_in_the_contract() -> None:
    assert {f"CAUSE_KIND_{k.name}" for k in CauseKind} == set(pb.CauseKind.keys()) - {"CAUSE_KIND_UNSPECIFIED"}
    assert {f"EVIDENCE_KIND_{k.name}" for k in EvidenceKind} == set(pb.EvidenceKind.keys()) - {
        "EVIDENCE_KIND_UNSPECIFIED"
    }
    assert {f"VERDICT_{v.name}" for v in Verdict} == set(pb.Verdict.keys()) - {"VERDICT_UNSPECIFIED"}
