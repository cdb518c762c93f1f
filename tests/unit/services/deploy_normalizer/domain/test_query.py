"""Page tokens continue the query they were made for, and nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.deploy_normalizer.domain.query import DeployQuery, Place, page_token, place_after
from tests.unit.services.deploy_normalizer.world import minutes

QUERY = DeployQuery(("a", "b"), TimeWindow(minutes(0), minutes(60)))
PLACE = Place(minutes(7.00001), "0123abcd")


def test_a_token_brings_back_its_place_to_the_microsecond() -> None:
    assert place_after(QUERY, page_token(QUERY, PLACE)) == PLACE


def test_the_order_of_the_services_does_not_matter() -> None:
    assert place_after(replace(QUERY, services=("b", "a", "a")), page_token(QUERY, PLACE)) == PLACE


@pytest.mark.parametrize(
    "other",
    [replace(QUERY, services=("a",)), replace(QUERY, window=TimeWindow(minutes(0), minutes(61)))],
    ids=["services", "window"],
)
def test_a_token_of_another_query_is_refused(other: DeployQuery) -> None:
    with pytest.raises(InvalidInput, match="another query"):
        place_after(other, page_token(QUERY, PLACE))


def forged(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    ["x", "é", "!!!!", forged(7), forged([1, 2]), forged(["f", "t", "i"]), forged(["f", 1e300, "i"]), forged({})],
)
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="page_token"):
        place_after(QUERY, token)
