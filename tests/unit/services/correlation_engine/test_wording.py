"""Numbers and names in sentences."""

from __future__ import annotations

from services.correlation_engine.domain import wording


def test_how_long_before_the_onset_is_told_in_whole_minutes() -> None:
    assert wording.ahead(0.2) == "in the minute of the onset"
    assert wording.ahead(3.4) == "3 min before the onset"


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    assert wording.names(["a"]) == "a"
    assert wording.names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
