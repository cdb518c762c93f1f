"""How a demo ends: what all its incidents come to."""

from __future__ import annotations

import pytest
from incidentscope.correlation.v1 import correlation_pb2 as pb
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from scripts.demo.story import Ending, judge


def analysis(*services: str, named: bool = True) -> HypothesesPublished:
    verdict = pb.VERDICT_CAUSE_NAMED if named else pb.VERDICT_NOT_ENOUGH_EVIDENCE
    suspects = [pb.Hypothesis(rank=place, service=service) for place, service in enumerate(services, start=1)]
    return HypothesesPublished(verdict=verdict, hypotheses=suspects)


@pytest.mark.parametrize(
    ("analyses", "named", "rank"),
    [
        ([analysis("db", "cart")], "db", 1),
        ([analysis("cart", named=False), analysis("db")], "db", 1),  # a false alarm beside the outage
        ([analysis("db"), analysis("cart", "db")], "cart", 2),  # one wrong name is a wrong ending
        ([analysis("cart")], "cart", 0),
        ([analysis("db", named=False)], "", 0),
        ([], "", 0),
    ],
)
def test_an_outage_ends_well_when_its_cause_is_named_and_no_other(
    analyses: list[HypothesesPublished], named: str, rank: int
) -> None:
    ending = judge(analyses, "db")

    assert ending == Ending(named, "db", rank)
    assert ending.right == (named == "db")


def test_without_an_outage_any_name_is_wrong() -> None:
    assert judge([analysis("db", named=False)], "").right
    assert not judge([analysis("db", named=False), analysis("cart")], "").right
