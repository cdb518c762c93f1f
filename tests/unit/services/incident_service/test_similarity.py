"""How much past incidents resemble another, and in what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain.hypotheses import Cause, Standing
from services.incident_service.domain.similarity import PastIncident, Profile, compare, most_similar

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KIND = "CAUSE_KIND_SLOW_DEPENDENCY"
SUSPECTED = Cause(Standing.SUSPECTED, "db", KIND)
MINE = Profile(SUSPECTED, ("checkout", "frontend"), ("network gap", "deploy"), ("timeout <*>",))


def past(
    standing: Standing, service: str = "db", services: tuple[str, ...] = ("checkout",), day: int = 1
) -> PastIncident:
    opened = NOON - timedelta(days=day)
    profile = Profile(Cause(standing, service, KIND, "it was slow", "ann"), services)
    return PastIncident(f"i{day}", "checkout: Slow", opened, opened, "Resolved by bob: restarted", profile)


def test_a_confirmed_cause_counts_twice_an_unconfirmed_one_and_a_rejected_one_nothing() -> None:
    confirmed, suspected, rejected = (
        compare(MINE, past(s, services=())) for s in (Standing.CONFIRMED, Standing.SUSPECTED, Standing.REJECTED)
    )
    assert confirmed.similarity == pytest.approx(0.5)
    assert suspected.similarity == pytest.approx(0.25)
    assert rejected.similarity == 0
    assert confirmed.reasons[0] == "the same cause: db (confirmed by ann)"
    assert suspected.reasons[0] == "the same cause: db (never confirmed)"


def test_identical_incidents_with_a_confirmed_cause_are_wholly_similar() -> None:
    twin = PastIncident("i", "t", NOON, None, "", Profile(Cause(Standing.CONFIRMED, "db", KIND), *_rest(MINE)))
    assert compare(MINE, twin).similarity == pytest.approx(1.0)


def _rest(profile: Profile) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    return profile.services, profile.evidence_kinds, profile.signatures


def test_what_they_share_is_said_with_counts_the_weightiest_first() -> None:
    other = Profile(Cause(Standing.UNKNOWN), ("checkout", "cart", "frontend"), ("deploy",), ("timeout <*>",))
    found = compare(MINE, PastIncident("i", "t", NOON, None, "", other))
    assert (
        found.reasons
        == (
            "1 of 1 log lines: timeout <*>",
            "2 of 3 affected services: checkout, frontend",
            "1 of 2 classes of evidence: deploy",
        )[:1]
        + found.reasons[1:]
    )
    assert set(found.reasons) == {
        "1 of 1 log lines: timeout <*>",
        "2 of 3 affected services: checkout, frontend",
        "1 of 2 classes of evidence: deploy",
    }
    assert found.similarity == pytest.approx(0.2 * 2 / 3 + 0.15 / 2 + 0.15)


def test_the_most_similar_come_first_then_the_newer_and_strangers_not_at_all() -> None:
    found = most_similar(
        MINE,
        [
            past(Standing.SUSPECTED, day=1),
            past(Standing.CONFIRMED, day=9),
            past(Standing.CONFIRMED, day=5),
            past(Standing.CONFIRMED, "dns", ("mail",), day=2),
        ],
        limit=3,
    )
    assert [s.incident.id for s in found] == ["i5", "i9", "i1"]
    assert most_similar(MINE, [past(Standing.CONFIRMED)], 0) == []


def test_incidents_of_which_nothing_is_known_resemble_nothing() -> None:
    blank = Profile(Cause(Standing.UNKNOWN), ())
    nothing = PastIncident("i", "t", NOON, None, "", blank)
    assert compare(blank, nothing).similarity == 0
    assert most_similar(MINE, [nothing], 5) == []


def test_long_log_lines_are_cut_in_what_is_said() -> None:
    mine = Profile(Cause(Standing.UNKNOWN), (), (), ("x" * 400,))
    (reason,) = compare(mine, PastIncident("i", "t", NOON, None, "", mine)).reasons
    assert reason == f"1 of 1 log lines: {'x' * 79}…"
