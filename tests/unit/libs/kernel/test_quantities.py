"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest

from libs.kernel import quantities


@pytest.mark.parametrize(
    ("value", "words"),
    [(812, "812 ms"), (944.4, "944 ms"), (1240, "1.24 s"), (0.32, "320 µs"), (0, "0 ms"), (150_000, "2.50 min")],
)
def test_a_duration_is_told_in_the_unit_a_person_would_use(value: float, words: str) -> None:
    assert quantities.milliseconds(value) == words


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.493, "49 %"),
        (0.07, "7 %"),
        (0.032, "3.2 %"),
        (0.000804, "< 0.1 %"),
        (0, "0 %"),
        (0.9996, "100 %"),
        (3.1, "310 %"),
        (0.3149, "31 %"),
        (0.3151, "32 %"),
        (0.09949, "9.9 %"),
        (0.0996, "10 %"),
        (0.0304, "3 %"),
        (0.0995, "10 %"),
    ],
)
def test_a_share_is_told_with_two_digits(ratio: float, words: str) -> None:
    assert quantities.percent(ratio) == words


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.945, "95 %"), (0.9449, "94 %"), (0.5, "50 %"), (0.999, "> 99 %"), (0.995, "> 99 %"), (1.0, "100 %"),
        (0.004, "< 1 %"), (0.0, "0 %"),
    ],
)  # fmt: skip
def test_confidence_is_whole_and_never_certain_by_rounding(probability: float, words: str) -> None:
    assert quantities.confidence(probability) == words


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_no_number_is_a_dash(value: float | None) -> None:
    assert quantities.milliseconds(value) == quantities.percent(value) == "–"


@pytest.mark.parametrize(
    ("value", "words"),
    [(12345, "12,345"), (7, "7"), (81.23, "81.2"), (0.5, "0.50"), (0.0123, "0.012"), (-3.25, "-3.25")],
)
def test_a_number_keeps_about_three_digits(value: float, words: str) -> None:
    assert quantities.significant(value) == words
