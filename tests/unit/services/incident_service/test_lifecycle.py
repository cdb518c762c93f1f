"""What people may do to an incident, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.incident_service.domain.lifecycle import (
    NewIncident,
    acknowledge,
    add_note,
    open_by_hand,
    resolve,
)
from services.incident_service.domain.model import (
    Change,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
    shorten,
    unique,
)

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=4)
OPEN = Incident("i1", "t", "checkout is down", Status.OPEN, Severity.MAJOR, ("checkout",), "", NOW, NOW)
TAKEN = replace(OPEN, status=Status.ACKNOWLEDGED, acknowledged_at=NOW, acknowledged_by="ann", version=2)
ENDED = replace(OPEN, status=Status.RESOLVED, resolved_at=NOW, resolved_by="bob", version=3)


def test_an_incident_opened_by_hand_starts_its_life_at_version_one() -> None:
    new = NewIncident("checkout is down", Severity.MAJOR, ["checkout", "cart", "checkout"], NOW, "ann")
    decision = open_by_hand(new, "t", "i1", LATER)
    assert decision.incident is not None
    assert decision.incident.status is Status.OPEN
    assert decision.incident.services == ("checkout", "cart")
    assert (decision.incident.version, decision.incident.started_at, decision.incident.opened_at) == (1, NOW, LATER)
    assert (decision.reason, decision.change) == (Reason.OPENED_BY_HAND, Change.OPENED)
    assert [e.text for e in decision.entries] == ["Opened by ann"]


def test_an_open_incident_can_be_acknowledged() -> None:
    decision = acknowledge(OPEN, "ann", None, LATER)
    assert decision.incident == replace(
        OPEN, status=Status.ACKNOWLEDGED, acknowledged_at=LATER, acknowledged_by="ann", version=2
    )
    assert (decision.reason, decision.change, decision.refused) == (Reason.ACKNOWLEDGED, Change.ACKNOWLEDGED, False)


@pytest.mark.parametrize("incident", [OPEN, TAKEN])
def test_an_unresolved_incident_can_be_resolved(incident: Incident) -> None:
    decision = resolve(incident, "bob", "rolled back", None, LATER)
    assert decision.incident == replace(
        incident, status=Status.RESOLVED, resolved_at=LATER, resolved_by="bob", version=incident.version + 1
    )
    assert [e.text for e in decision.entries] == ["Resolved by bob: rolled back"]


@pytest.mark.parametrize(
    ("incident", "reason", "says"),
    [
        (TAKEN, Reason.ALREADY_ACKNOWLEDGED, "the incident is already acknowledged by ann"),
        (ENDED, Reason.ALREADY_RESOLVED, "the incident is already resolved by bob"),
    ],
)
def test_an_incident_cannot_be_acknowledged_in_a_later_state(incident: Incident, reason: Reason, says: str) -> None:
    decision = acknowledge(incident, "eve", None, LATER)
    assert (decision.refused, decision.reason, decision.message, decision.change) == (True, reason, says, None)


def test_a_resolved_incident_cannot_be_resolved_again() -> None:
    assert resolve(ENDED, "eve", "", None, LATER).reason is Reason.ALREADY_RESOLVED


def test_a_stale_version_is_refused_before_anything_else() -> None:
    assert acknowledge(ENDED, "ann", 1, LATER).reason is Reason.STALE_VERSION
    assert resolve(TAKEN, "ann", "", 1, LATER).message == "the incident has version 2, not 1: read it again"
    assert not resolve(TAKEN, "ann", "", 2, LATER).refused


@pytest.mark.parametrize("incident", [OPEN, TAKEN, ENDED])
def test_a_note_can_be_written_in_any_state_and_keeps_the_version(incident: Incident) -> None:
    decision = add_note(incident, "ann", "looking", LATER)
    assert (decision.incident, decision.change) == (incident, Change.UPDATED)
    assert [(e.kind, e.text) for e in decision.entries] == [(EntryKind.NOTE, "looking")]


def test_names_are_joined_once_each_and_empty_ones_dropped() -> None:
    assert unique(["a", "", "b"], ["b", "c", "a"]) == ("a", "b", "c")


def test_a_shortened_text_shows_that_it_was_cut() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abc defg", 5) == "abc…"
