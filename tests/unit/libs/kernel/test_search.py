from __future__ import annotations

import pytest

from libs.kernel.errors import InvalidInput
from libs.kernel.search import holds, words
from libs.storage.postgres import containing


def test_words_are_taken_each_once_whatever_is_between_them() -> None:
    assert words("  slow\tcheckout \n slow ") == ("checkout", "slow")
    assert words("") == words("  ") == ()
    assert words("b a") == words("a b")


@pytest.mark.parametrize(
    ("q", "says"),
    [
        ("x" * 201, "q has 201 characters, at most 200"),
        ("w " * 11, "q has 11 words, at most 10"),
        ("a\x00b", "q contains a NUL"),
    ],
)
def test_a_search_that_is_too_much_is_refused(q: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        words(q)
    assert refused.value.reason == "q"


def test_every_word_must_be_somewhere() -> None:
    assert holds(("SLOW", "check"), "Checkout", "is slow")
    assert not holds(("slow", "cart"), "Checkout", "is slow")
    assert holds((), "anything")


def test_a_pattern_takes_a_word_as_it_is() -> None:
    assert containing(r"100%_\d") == r"%100\%\_\\d%"
