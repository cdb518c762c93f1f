"""What is added to an incident, and what of it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.incident_service.domain import response
from services.incident_service.domain.model import (
    Change,
    EntryKind,
    Incident,
    Priority,
    Reason,
    Role,
    Severity,
    Status,
)
from services.incident_service.domain.records import Link, PublicStatus, RoleChange, StatusUpdate
from services.incident_service.domain.response import Handover

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=4)
OPEN = Incident("i1", "t", "checkout is down", Status.OPEN, Severity.MAJOR, ("checkout",), "", NOW, NOW)
ENDED = replace(OPEN, status=Status.RESOLVED, resolved_at=NOW, resolved_by="bob", version=3)
CLOSED = replace(ENDED, status=Status.CLOSED, closed_at=NOW, closed_by="cyd", version=4)
LED = replace(OPEN, commander="ann")


@pytest.mark.parametrize("incident", [OPEN, ENDED, CLOSED])
def test_a_note_can_be_written_in_any_state_and_keeps_the_version(incident: Incident) -> None:
    decision = response.add_note(incident, "ann", "looking", LATER)
    assert (decision.incident, decision.change) == (incident, Change.UPDATED)
    assert [(e.kind, e.text) for e in decision.entries] == [(EntryKind.NOTE, "looking")]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"title": "cart is down"}, "Title: checkout is down → cart is down (by ann)"),
        ({"severity": Severity.CRITICAL}, "Severity: MAJOR → CRITICAL (by ann)"),
        ({"priority": Priority.P1}, "Priority: not judged → P1 (by ann)"),
        ({"services": ["a", "a", "b"]}, "Services: checkout → a, b (by ann)"),
        ({"bridge_url": "https://c.example"}, "Bridge link: none → https://c.example (by ann)"),
        ({"summary": "It broke."}, "Summary: It broke. (by ann)"),
        ({"public": True}, "Shown on the status page (by ann)"),
    ],
)
def test_a_changed_fact_is_told_with_what_it_was(values: dict[str, Any], told: str) -> None:
    decision = response.update(OPEN, values, "ann", 1, LATER)
    assert [(e.kind, e.text) for e in decision.entries] == [(EntryKind.UPDATE, told)]
    assert decision.incident is not None
    assert decision.incident.version == 2


def test_a_change_that_changes_nothing_or_is_stale_is_refused() -> None:
    assert response.update(OPEN, {"title": OPEN.title}, "ann", None, LATER).reason is Reason.NOTHING_CHANGED
    assert response.update(OPEN, {"title": "x"}, "ann", 7, LATER).reason is Reason.STALE_VERSION


@pytest.mark.parametrize(
    ("incident", "person", "told"),
    [
        (OPEN, "ann", "Commander: ann (by eve)"),
        (OPEN, "eve", "Commander: eve"),
        (LED, "bob", "Commander: bob, taking over from ann (by eve)"),
        (LED, "", "Commander: ann stepped back (by eve)"),
    ],
)
def test_a_role_goes_from_one_person_to_the_next(incident: Incident, person: str, told: str) -> None:
    decision = response.assign_role(incident, Handover(Role.COMMANDER, person, "eve"), LATER)
    assert decision.incident is not None
    assert decision.incident.commander == person
    assert [e.text for e in decision.entries] == [told]
    assert decision.records == (RoleChange("commander", person, "eve", LATER),)


@pytest.mark.parametrize(
    ("incident", "wanted", "reason"),
    [
        (LED, Handover(Role.COMMANDER, "ann", "eve"), Reason.ROLE_HELD_ALREADY),
        (OPEN, Handover(Role.SCRIBE, "", "eve"), Reason.ROLE_HELD_ALREADY),
        (CLOSED, Handover(Role.SCRIBE, "ann", "eve"), Reason.ALREADY_CLOSED),
        (LED, Handover(Role.COMMANDER, "bob", "eve", 9), Reason.STALE_VERSION),
    ],
)
def test_a_handover_that_makes_no_sense_is_refused(incident: Incident, wanted: Handover, reason: Reason) -> None:
    decision = response.assign_role(incident, wanted, LATER)
    assert (decision.refused, decision.reason, decision.records) == (True, reason, ())


def test_links_and_updates_are_bounded() -> None:
    link = Link("l1", "i1", "dashboard", "https://g.example", "ann", NOW)
    assert response.add_link(OPEN, link, 0).records == (link,)
    assert response.add_link(OPEN, link, response.MOST_LINKS).reason is Reason.TOO_MANY
    posted = StatusUpdate("u1", "i1", PublicStatus.IDENTIFIED, "we know", False, "ann", NOW)
    assert response.post_update(OPEN, posted, response.MOST_UPDATES).reason is Reason.TOO_MANY


def test_an_update_is_public_only_where_the_incident_is() -> None:
    posted = StatusUpdate("u1", "i1", PublicStatus.IDENTIFIED, "we know", True, "ann", NOW)
    assert response.post_update(OPEN, posted, 0).reason is Reason.NOT_PUBLIC
    decision = response.post_update(replace(OPEN, public=True), posted, 0)
    assert [e.text for e in decision.entries] == ["Told status page (identified): we know"]


@pytest.mark.parametrize(
    ("incident", "latest", "shown"),
    [
        (OPEN, None, PublicStatus.INVESTIGATING),
        (OPEN, PublicStatus.IDENTIFIED, PublicStatus.IDENTIFIED),
        (replace(OPEN, status=Status.MITIGATED), None, PublicStatus.MONITORING),
        (ENDED, PublicStatus.IDENTIFIED, PublicStatus.RESOLVED),
    ],
)
def test_the_public_status_is_what_was_told_until_it_is_over(
    incident: Incident, latest: PublicStatus | None, shown: PublicStatus
) -> None:
    assert response.public_status(incident, latest) is shown
