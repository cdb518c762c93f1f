"""What people may do to an incident, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain import lifecycle
from services.incident_service.domain.lifecycle import Move, NewIncident, merge, open_by_hand
from services.incident_service.domain.model import (
    Change,
    Decision,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
    shorten,
    unique,
)
from services.incident_service.domain.records import Due, DueKind
from services.incident_service.domain.transitions import TRANSITIONS, Verb, next_status

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=4)
OPEN = Incident("i1", "t", "checkout is down", Status.OPEN, Severity.MAJOR, ("checkout",), "", NOW, NOW)
TAKEN = replace(OPEN, status=Status.ACKNOWLEDGED, acknowledged_at=NOW, acknowledged_by="ann", version=2)
EASED = replace(TAKEN, status=Status.MITIGATED, mitigated_at=NOW, mitigated_by="ann", version=3)
DUE = NOW + timedelta(hours=72)
ENDED = replace(
    EASED, status=Status.RESOLVED, resolved_at=NOW, resolved_by="bob", postmortem_due_at=DUE, version=4
)  # fmt: skip
CLOSED = replace(ENDED, status=Status.CLOSED, closed_at=NOW, closed_by="cyd", version=5)
BY_STATUS = {i.status: i for i in (OPEN, TAKEN, EASED, ENDED, CLOSED)}
TARGET = replace(OPEN, id="i2", title="cart is down", services=("cart",))
EVE = Move("eve", "because")


def do(verb: Verb, incident: Incident, move: Move = EVE) -> Decision:
    """Carry out a verb of the table."""
    match verb:
        case Verb.REOPEN:
            return lifecycle.reopen(incident, move, None, LATER)
        case Verb.MERGE:
            return merge(incident, TARGET, move, LATER)[0]
        case _:
            decided: Decision = getattr(lifecycle, verb.value)(incident, move, LATER)
            return decided


def test_the_table_says_something_about_every_verb_in_every_status() -> None:
    assert set(TRANSITIONS) == set(Verb)
    assert all(set(row) == set(Status) for row in TRANSITIONS.values())


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("status", list(Status))
def test_every_verb_does_in_every_status_what_the_table_says(verb: Verb, status: Status) -> None:
    incident = BY_STATUS[status]
    decision, following = do(verb, incident), next_status(verb, incident)
    if isinstance(following, Reason):
        assert (decision.refused, decision.reason, decision.incident) == (True, following, incident)
        assert decision.message
        assert (decision.change, decision.entries, decision.records) == (None, (), ())
        return
    assert decision.incident is not None
    assert (decision.incident.status, decision.incident.version) == (following, incident.version + 1)
    assert not decision.refused
    assert decision.change is not None
    assert [e.actor for e in decision.entries] == ["eve"]


@pytest.mark.parametrize("verb", list(Verb))
@pytest.mark.parametrize("status", list(Status))
def test_a_stale_version_is_refused_before_anything_else(verb: Verb, status: Status) -> None:
    incident = BY_STATUS[status]
    decision = do(verb, incident, Move("eve", "", incident.version + 1))
    assert decision.reason is Reason.STALE_VERSION
    assert f"has version {incident.version}, not {incident.version + 1}" in decision.message


@pytest.mark.parametrize("verb", list(Verb))
def test_a_merged_incident_is_left_alone(verb: Verb) -> None:
    decision = do(verb, replace(CLOSED, merged_into="i9"))
    assert (decision.reason, decision.message) == (
        Reason.ALREADY_MERGED,
        "the incident was merged into i9: go on there",
    )


@pytest.mark.parametrize(
    ("verb", "incident", "says"),
    [
        (Verb.ACKNOWLEDGE, TAKEN, "the incident is already acknowledged by ann"),
        (Verb.ACKNOWLEDGE, EASED, "the incident is already mitigated by ann"),
        (Verb.MITIGATE, ENDED, "the incident is already resolved by bob"),
        (Verb.RESOLVE, CLOSED, "the incident is already closed by cyd"),
        (Verb.CLOSE, EASED, "the incident is mitigated: resolve it before closing it"),
        (Verb.REOPEN, TAKEN, "the incident is acknowledged: there is nothing to reopen"),
    ],
)
def test_a_refusal_says_who_was_there_before(verb: Verb, incident: Incident, says: str) -> None:
    assert do(verb, incident).message == says


@pytest.mark.parametrize(
    ("verb", "incident", "text", "kind", "change"),
    [
        (Verb.ACKNOWLEDGE, OPEN, "Acknowledged by eve", EntryKind.ACKNOWLEDGEMENT, Change.ACKNOWLEDGED),
        (Verb.MITIGATE, TAKEN, "Mitigated by eve: because", EntryKind.STATE_CHANGE, Change.MITIGATED),
        (Verb.RESOLVE, EASED, "Resolved by eve: because", EntryKind.STATE_CHANGE, Change.RESOLVED),
        (Verb.CLOSE, ENDED, "Closed by eve", EntryKind.STATE_CHANGE, Change.CLOSED),
        (Verb.REOPEN, CLOSED, "Reopened by eve: because", EntryKind.STATE_CHANGE, Change.REOPENED),
        (Verb.MERGE, OPEN, "Merged into “cart is down” by eve", EntryKind.STATE_CHANGE, Change.MERGED),
    ],
)
def test_each_move_is_told_on_the_timeline_and_by_an_event_of_its_own(
    verb: Verb, incident: Incident, text: str, kind: EntryKind, change: Change
) -> None:
    decision = do(verb, incident)
    assert [(e.kind, e.text) for e in decision.entries] == [(kind, text)]
    assert decision.change is change


def test_an_incident_opened_by_hand_starts_its_life_at_version_one() -> None:
    new = NewIncident("checkout is down", Severity.MAJOR, ["checkout", "cart", "checkout"], NOW, "ann")
    decision = open_by_hand(new, "t", "i1", LATER)
    assert decision.incident is not None
    assert decision.incident.status is Status.OPEN
    assert decision.incident.services == ("checkout", "cart")
    assert (decision.incident.version, decision.incident.started_at, decision.incident.opened_at) == (1, NOW, LATER)
    assert (decision.reason, decision.change) == (Reason.OPENED_BY_HAND, Change.OPENED)
    assert [e.text for e in decision.entries] == ["Opened by ann"]


def test_resolving_makes_a_postmortem_due_72_hours_later() -> None:
    decision = do(Verb.RESOLVE, TAKEN)
    assert decision.incident is not None
    assert decision.incident.postmortem_due_at == LATER + timedelta(hours=72)
    assert decision.records == (Due(DueKind.POSTMORTEM, "i1", LATER + timedelta(hours=72)),)


def test_reopening_forgets_how_it_ended_and_that_a_postmortem_was_due() -> None:
    decision = do(Verb.REOPEN, CLOSED)
    assert decision.incident == replace(OPEN, version=6, reopened_at=LATER, changed_at=LATER)
    assert decision.records == (Due(DueKind.POSTMORTEM, "i1", None),)


def test_an_incident_whose_alerts_opened_another_is_not_reopened() -> None:
    decision = lifecycle.reopen(ENDED, EVE, TARGET, LATER)
    assert decision.reason is Reason.GROUP_HAS_ANOTHER
    assert "incident i2 of the same alerts is open" in decision.message


def test_merging_closes_the_one_and_gives_the_other_what_it_brings() -> None:
    source = replace(
        OPEN, severity=Severity.CRITICAL, started_at=NOW - timedelta(hours=1), group_key="g", alerts={"f": True}
    )  # fmt: skip
    closed, grown = merge(source, TARGET, EVE, LATER)
    assert closed.incident is not None
    assert grown is not None
    assert grown.incident is not None
    assert (closed.incident.status, closed.incident.merged_into) == (Status.CLOSED, "i2")
    assert (closed.incident.resolved_at, closed.incident.closed_by) == (LATER, "eve")
    assert grown.incident.services == ("cart", "checkout")
    assert (grown.incident.severity, grown.incident.started_at) == (Severity.CRITICAL, source.started_at)
    assert list(grown.incident.alerts.values()) == [True]
    assert all(name.startswith("merged:") for name in grown.incident.alerts)
    assert [e.url for d in (closed, grown) for e in d.entries] == ["/incidents/i2", "/incidents/i1"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (OPEN, Reason.MERGE_INTO_ITSELF),
        (replace(ENDED, id="i2"), Reason.MERGE_INTO_OVER),
        (replace(CLOSED, id="i2"), Reason.MERGE_INTO_OVER),
    ],
)
def test_an_incident_is_not_merged_into_itself_nor_into_one_that_is_over(target: Incident, reason: Reason) -> None:
    refused, grown = merge(OPEN, target, EVE, LATER)
    assert (refused.reason, grown) == (reason, None)


def test_names_are_joined_once_each_and_empty_ones_dropped() -> None:
    assert unique(["a", "", "b"], ["b", "c", "a"]) == ("a", "b", "c")


def test_a_shortened_text_shows_that_it_was_cut() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abc defg", 5) == "abc…"


@pytest.mark.parametrize("odd", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)])
def test_an_odd_start_hurts_neither_of_two_that_are_merged(odd: datetime) -> None:
    for source, target in ((replace(OPEN, started_at=odd), TARGET), (OPEN, replace(TARGET, started_at=odd))):
        _, grown = merge(source, target, EVE, LATER)
        assert grown is not None
        assert grown.incident is not None
        assert LATER - timedelta(days=180) <= grown.incident.started_at <= LATER
