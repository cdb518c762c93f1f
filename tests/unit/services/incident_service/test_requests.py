"""Page tokens: opaque, bound to their listing."""

from __future__ import annotations

import base64

import pytest

from libs.kernel.errors import InvalidInput
from services.incident_service.adapters.requests import (
    incident_position,
    number_position,
    page_token,
    position,
)

ID = "0190c5a0-0000-7000-8000-000000000000"


def test_a_token_gives_back_its_position() -> None:
    assert position("incidents open", page_token("incidents open", ID)) == ID
    assert incident_position("incidents ", page_token("incidents ", ID)) == ID
    assert number_position("timeline", page_token("timeline", "42")) == 42


def test_no_token_means_the_first_page() -> None:
    assert incident_position("s", "") is None
    assert number_position("s", "") == 0


def test_a_token_of_another_listing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="another listing"):
        position("incidents resolved", page_token("incidents open", ID))


@pytest.mark.parametrize("token", ["!", "a", "aaaaa", "zz==zz", "ÿ", base64.urlsafe_b64encode(b"\xff\xfe").decode()])
def test_a_token_nobody_gave_out_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="page_token"):
        position("s", token)


@pytest.mark.parametrize("place", ["", "x", "-1", "²", "9" * 19, "1 OR 1=1"])
def test_a_token_with_a_forged_position_is_refused(place: str) -> None:
    with pytest.raises(InvalidInput, match="page_token"):
        number_position("s", page_token("s", place))
    with pytest.raises(InvalidInput, match="page_token"):
        incident_position("s", page_token("s", place))
