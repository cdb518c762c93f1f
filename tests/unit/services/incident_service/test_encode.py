"""Domain values against the contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from incidentscope.incident.v1 import incident_events_pb2, incident_pb2

from libs.messaging.topics import INCIDENTS_EVENTS
from services.incident_service.adapters.encode import (
    KINDS,
    SEVERITIES,
    STATUSES,
    event_message,
    incident_message,
    public_message,
)
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
)
from services.incident_service.domain.records import Postmortem, PublicStatus, StatusUpdate, Task, TaskKind
from services.incident_service.handlers.communication import Shown

NOW = datetime(2026, 3, 1, 3, 0, 0, 123456, tzinfo=UTC)
INCIDENT = Incident("i1", "t", "x", Status.OPEN, Severity.MAJOR, ("a",), "k", NOW, NOW, {"f": True})
TASK = Task("t1", "i1", TaskKind.TASK, "look", "", None, "ann", NOW)
POSTMORTEM = Postmortem("i1", "a", "b", "c", "d", "", NOW, "ann", NOW)
ENTRY = Entry(EntryKind.NOTE, NOW, "ann", "grpc", "hello", id="e1")


def test_every_status_severity_and_kind_has_its_contract_value() -> None:
    assert set(STATUSES) == set(Status)
    assert set(SEVERITIES) == set(Severity)
    assert set(KINDS) == set(EntryKind)
    unsent = {incident_pb2.INCIDENT_STATUS_UNSPECIFIED}
    assert set(STATUSES.values()) | unsent == set(incident_pb2.IncidentStatus.values())
    assert set(SEVERITIES.values()) == set(incident_pb2.IncidentSeverity.values())


def test_instants_keep_their_microseconds_and_unset_ones_stay_unset() -> None:
    message = incident_message(INCIDENT)
    assert message.opened_at.ToDatetime(UTC) == NOW
    assert not message.HasField("acknowledged_at")
    assert incident_message(replace(INCIDENT, resolved_at=NOW)).resolved_at.ToDatetime(UTC) == NOW


@pytest.mark.parametrize("change", list(Change))
def test_every_change_has_an_event_its_topic_carries(change: Change) -> None:
    message = event_message(
        Decision(Reason.CHANGED, INCIDENT, (ENTRY,), change, records=(TASK, POSTMORTEM)), INCIDENT, ENTRY
    )
    assert type(message) in INCIDENTS_EVENTS.messages
    assert message.incident == incident_message(INCIDENT)  # type: ignore[attr-defined]


def test_the_topic_carries_no_event_that_is_never_told() -> None:
    decisions = [Decision(Reason.CHANGED, INCIDENT, (ENTRY,), change, records=(TASK, POSTMORTEM)) for change in Change]
    assert {type(event_message(d, INCIDENT, ENTRY)) for d in decisions} == set(INCIDENTS_EVENTS.messages)


def test_an_update_carries_the_entry_that_records_it() -> None:
    message = event_message(Decision(Reason.NOTE_ADDED, INCIDENT, (ENTRY,), Change.UPDATED), INCIDENT, ENTRY)
    assert isinstance(message, incident_events_pb2.IncidentUpdated)
    assert (message.entry.id, message.entry.incident_id, message.entry.text) == ("e1", "i1", "hello")


def test_the_status_page_shows_nobodys_name_and_nothing_internal() -> None:
    whole = replace(
        INCIDENT, title="db-7 melts", public=True, public_title="Slow checkout", summary="secret", commander="ann",
        acknowledged_by="ann", bridge_url="https://call.example", acknowledged_at=NOW,
    )  # fmt: skip
    update = StatusUpdate("u1", "i1", PublicStatus.IDENTIFIED, "we know", True, "ann", NOW)
    text = str(public_message(Shown(whole, PublicStatus.IDENTIFIED, [update], NOW)))
    assert "Slow checkout" in text
    assert not any(word in text for word in ("db-7", "secret", "ann", "call.example"))
