"""What people do to incidents: open, acknowledge, resolve, note. Pure: the same input gives the same decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
    unique,
)

SOURCE = "grpc"


@dataclass(frozen=True, slots=True)
class NewIncident:
    """What a person says when opening an incident."""

    title: str
    severity: Severity
    services: Sequence[str]
    started_at: datetime
    actor: str


def open_by_hand(new: NewIncident, tenant: str, incident_id: str, now: datetime) -> Decision:
    """Open an incident that no alert group feeds."""
    incident = Incident(
        id=incident_id,
        tenant=tenant,
        title=new.title,
        status=Status.OPEN,
        severity=new.severity,
        services=unique(new.services),
        group_key="",
        started_at=new.started_at,
        opened_at=now,
    )
    entry = _state_change(now, new.actor, f"Opened by {new.actor}")
    return Decision(Reason.OPENED_BY_HAND, incident, (entry,), Change.OPENED)


def acknowledge(incident: Incident, actor: str, expected_version: int | None, now: datetime) -> Decision:
    """Take an open incident; refused when it was taken or resolved before, or has another version than expected."""
    if (stale := _stale(incident, expected_version)) is not None:
        return stale
    if incident.status is Status.ACKNOWLEDGED:
        message = f"the incident is already acknowledged by {incident.acknowledged_by}"
        return Decision(Reason.ALREADY_ACKNOWLEDGED, incident, message=message)
    if incident.status is Status.RESOLVED:
        return _already_resolved(incident)
    taken = replace(
        incident,
        status=Status.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=actor,
        version=incident.version + 1,
    )
    entry = _state_change(now, actor, f"Acknowledged by {actor}")
    return Decision(Reason.ACKNOWLEDGED, taken, (entry,), Change.ACKNOWLEDGED)


def resolve(incident: Incident, actor: str, resolution: str, expected_version: int | None, now: datetime) -> Decision:
    """End an incident; refused when it has ended before, or has another version than expected."""
    if (stale := _stale(incident, expected_version)) is not None:
        return stale
    if incident.status is Status.RESOLVED:
        return _already_resolved(incident)
    text = f"Resolved by {actor}: {resolution}" if resolution else f"Resolved by {actor}"
    entry = _state_change(now, actor, text)
    return Decision(Reason.RESOLVED_BY_HAND, ended(incident, actor, now), (entry,), Change.RESOLVED)


def add_note(incident: Incident, actor: str, text: str, now: datetime) -> Decision:
    """Write a note, whatever the status; the incident itself keeps its version."""
    entry = Entry(EntryKind.NOTE, now, actor, SOURCE, text)
    return Decision(Reason.NOTE_ADDED, incident, (entry,), Change.UPDATED)


def ended(incident: Incident, by: str, now: datetime) -> Incident:
    """Return the incident as resolved."""
    return replace(incident, status=Status.RESOLVED, resolved_at=now, resolved_by=by, version=incident.version + 1)


def _stale(incident: Incident, expected_version: int | None) -> Decision | None:
    if expected_version is None or expected_version == incident.version:
        return None
    message = f"the incident has version {incident.version}, not {expected_version}: read it again"
    return Decision(Reason.STALE_VERSION, incident, message=message)


def _already_resolved(incident: Incident) -> Decision:
    message = f"the incident is already resolved by {incident.resolved_by}"
    return Decision(Reason.ALREADY_RESOLVED, incident, message=message)


def _state_change(now: datetime, actor: str, text: str) -> Entry:
    return Entry(EntryKind.STATE_CHANGE, now, actor, SOURCE, text)
