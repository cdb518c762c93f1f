"""What people and machines add to an incident while it goes on: facts, roles, notes, entries, links, updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.incident_service.domain.lifecycle import SOURCE
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Role,
    Status,
    changed,
    refuse,
    shorten,
    stale,
    unique,
)
from services.incident_service.domain.records import Link, PublicStatus, RoleChange, StatusUpdate

MOST_LINKS = 200  # of one incident
MOST_UPDATES = 500
RECORDED = frozenset({EntryKind.INGEST, EntryKind.ROUTE, EntryKind.PAGE, EntryKind.DEPLOY})  # by machines, as they are
_PUBLIC_STATUS = {
    Status.OPEN: PublicStatus.INVESTIGATING,
    Status.ACKNOWLEDGED: PublicStatus.INVESTIGATING,
    Status.MITIGATED: PublicStatus.MONITORING,
    Status.RESOLVED: PublicStatus.RESOLVED,
    Status.CLOSED: PublicStatus.RESOLVED,
}


def public_status(incident: Incident, latest: PublicStatus | None) -> PublicStatus:
    """Return how far an incident is for people outside: as told last, but over once it is over."""
    own = _PUBLIC_STATUS[incident.status]
    return own if latest is None or incident.status.over else latest


def add_note(incident: Incident, actor: str, text: str, now: datetime) -> Decision:
    """Write a note, whatever the status; the incident itself keeps its version."""
    entry = Entry(EntryKind.NOTE, now, actor, SOURCE, text)
    return Decision(Reason.NOTE_ADDED, incident, (entry,), Change.UPDATED)


def record_entry(incident: Incident, entry: Entry) -> Decision:
    """Write what a machine did; the incident itself keeps its version."""
    return Decision(Reason.ENTRY_RECORDED, incident, (entry,), Change.UPDATED)


def update(
    incident: Incident, values: Mapping[str, Any], actor: str, expected_version: int | None, now: datetime
) -> Decision:
    """Change what is known: `values` by field name. Refused when nothing differs."""
    if (old := stale(incident, expected_version)) is not None:
        return old
    if "services" in values:
        values = {**values, "services": unique(values["services"])}
    differing = {name: value for name, value in values.items() if getattr(incident, name) != value}
    if not differing:
        return refuse(incident, Reason.NOTHING_CHANGED, "the incident has these values already")
    updated = changed(incident, now, **differing)
    told = "; ".join(_change(name, getattr(incident, name), value) for name, value in differing.items())
    entry = Entry(EntryKind.UPDATE, now, actor, SOURCE, f"{told} (by {actor})")
    return Decision(Reason.CHANGED, updated, (entry,), Change.UPDATED)


@dataclass(frozen=True, slots=True)
class Handover:
    """A role shall go to a person, or to nobody when it is empty."""

    role: Role
    person: str
    actor: str
    expected_version: int | None = None


def assign_role(incident: Incident, wanted: Handover, now: datetime) -> Decision:
    """Give a role to a person, taking it from whoever had it; refused when nothing would change or it is closed."""
    if (old := stale(incident, wanted.expected_version)) is not None:
        return old
    if incident.status is Status.CLOSED:
        message = f"the incident is closed by {incident.closed_by}: nobody needs a role in it"
        return refuse(incident, Reason.ALREADY_CLOSED, message)
    held_by = str(getattr(incident, wanted.role.value))
    if held_by == wanted.person:
        message = f"{held_by} is {wanted.role.value} already" if held_by else f"nobody is {wanted.role.value}"
        return refuse(incident, Reason.ROLE_HELD_ALREADY, message)
    fields: dict[str, Any] = {wanted.role.value: wanted.person}
    updated = changed(incident, now, **fields)
    entry = Entry(EntryKind.ROLE, now, wanted.actor, SOURCE, _handed_over(wanted, held_by))
    change = RoleChange(wanted.role.value, wanted.person, wanted.actor, now)
    reason = Reason.ROLE_GIVEN if wanted.person else Reason.ROLE_VACATED
    return Decision(reason, updated, (entry,), Change.UPDATED, records=(change,))


def add_link(incident: Incident, link: Link, existing: int) -> Decision:
    """Add a link; `existing` is how many there are."""
    if existing >= MOST_LINKS:
        return refuse(incident, Reason.TOO_MANY, f"an incident has at most {MOST_LINKS} links")
    entry = Entry(EntryKind.LINK, link.added_at, link.added_by, SOURCE, f"Link: {link.title}", link.url)
    return Decision(Reason.LINK_ADDED, incident, (entry,), Change.UPDATED, records=(link,))


def post_update(incident: Incident, posted: StatusUpdate, existing: int) -> Decision:
    """Record what people outside are told; public only where the incident itself is."""
    if posted.public and not incident.public:
        message = "the incident is not public: set its field `public` first, or post the update for insiders"
        return refuse(incident, Reason.NOT_PUBLIC, message)
    if existing >= MOST_UPDATES:
        return refuse(incident, Reason.TOO_MANY, f"an incident has at most {MOST_UPDATES} status updates")
    where = "status page" if posted.public else "insiders"
    text = f"Told {where} ({posted.status}): {posted.message}"
    entry = Entry(EntryKind.STATUS_UPDATE, posted.posted_at, posted.posted_by, SOURCE, text)
    return Decision(Reason.UPDATE_POSTED, incident, (entry,), Change.UPDATED, records=(posted,))


def _handed_over(wanted: Handover, held_by: str) -> str:
    role = wanted.role.value.capitalize()
    if not wanted.person:
        return f"{role}: {held_by} stepped back (by {wanted.actor})"
    before = f", taking over from {held_by}" if held_by else ""
    by = "" if wanted.person == wanted.actor else f" (by {wanted.actor})"
    return f"{role}: {wanted.person}{before}{by}"


def _change(name: str, before: Any, after: Any) -> str:
    words = name.replace("_", " ").replace(" url", " link").capitalize()
    if name == "summary":
        return f"Summary: {shorten(after, 500)}" if after else "Summary removed"
    if name == "public":
        return "Shown on the status page" if after else "Taken off the status page"
    return f"{words}: {_value(before)} → {_value(after)}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(getattr(value, "name", value)).replace("UNSPECIFIED", "not judged") or "none"
