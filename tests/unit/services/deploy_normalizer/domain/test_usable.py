"""What cannot be used is left aside, what is needed is not."""

from __future__ import annotations

import pytest

from services.deploy_normalizer.domain.fields import BadField, Json, MissingField, optional_text, required_text
from services.deploy_normalizer.domain.usable import MOST_ASIDE, read_usable, without


def names(body: Json) -> tuple[str, str]:
    return required_text(body, "inner.needed"), optional_text(body, "inner.nice") or optional_text(body, "other")


def test_a_whole_body_leaves_nothing_aside() -> None:
    assert read_usable(names, {"inner": {"needed": "a", "nice": "b"}}) == (("a", "b"), ())


def test_what_is_not_needed_is_left_aside_and_told() -> None:
    body = {"inner": {"needed": "a", "nice": {"b": 1}}, "other": 7}
    found, aside = read_usable(names, body)
    assert found == ("a", "")
    assert [bad.path for bad in aside] == ["inner.nice", "other"]
    assert "must be text" in str(aside[0])
    assert body == {"inner": {"needed": "a", "nice": {"b": 1}}, "other": 7}


def test_what_is_needed_is_refused_as_it_is_and_not_as_missing() -> None:
    with pytest.raises(BadField, match=r"`inner\.needed` must be text"):
        read_usable(names, {"inner": {"needed": 5, "nice": 6}})
    with pytest.raises(MissingField, match=r"`inner\.needed`"):
        read_usable(names, {"inner": {"nice": 6}})


def test_a_body_of_which_nothing_can_be_used_is_refused() -> None:
    body = {str(number): number for number in range(MOST_ASIDE + 1)}
    with pytest.raises(BadField, match=f"`{MOST_ASIDE}`"):
        read_usable(lambda said: [optional_text(said, name) for name in body], body)


def test_a_reader_that_names_a_field_nobody_sent_is_believed_once() -> None:
    def read(_body: Json) -> None:
        raise BadField("ghost", "is odd")

    with pytest.raises(BadField, match="`ghost`"):
        read_usable(read, {"a": 1})


@pytest.mark.parametrize(
    ("body", "path", "less"),
    [
        ({"a": 1, "b": 2}, "a", {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, "a.b", {"a": {"c": 2}}),
        ({"a": {"b.c": 1, "b": "text"}}, "a.b.c", {"a": {"b": "text"}}),
        ({"a": None}, "a", {}),
        ({"a": "text"}, "a.b", None),
        ({}, "a", None),
    ],
)
def test_a_body_without_a_path(body: Json, path: str, less: Json | None) -> None:
    assert without(body, path) == less
