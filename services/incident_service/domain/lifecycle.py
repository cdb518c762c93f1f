"""What people do to an incident's status, from opening to closing. Pure: the same input gives the same decision."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from libs.kernel import starts
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
    changed,
    refuse,
    stale,
    unique,
)
from services.incident_service.domain.records import Due, DueKind
from services.incident_service.domain.transitions import Verb, explain, next_status

SOURCE = "grpc"
MERGED = "merged:"  # marks the alerts of another group
POSTMORTEM_WITHIN = timedelta(hours=72)  # after resolution


@dataclass(frozen=True, slots=True)
class NewIncident:
    """What a person says when opening an incident."""

    title: str
    severity: Severity
    services: Sequence[str]
    started_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody wants to move an incident; `text` says what helped or why, `expected_version` is None when not said."""

    actor: str
    text: str = ""
    expected_version: int | None = None


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


def acknowledge(incident: Incident, move: Move, now: datetime) -> Decision:
    """Take an open incident."""
    if (refused := _refused(Verb.ACKNOWLEDGE, incident, move)) is not None:
        return refused
    taken = changed(incident, now, status=Status.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=move.actor)
    entry = Entry(EntryKind.ACKNOWLEDGEMENT, now, move.actor, SOURCE, f"Acknowledged by {move.actor}")
    return Decision(Reason.ACKNOWLEDGED, taken, (entry,), Change.ACKNOWLEDGED)


def mitigate(incident: Incident, move: Move, now: datetime) -> Decision:
    """Record that users are well again."""
    if (refused := _refused(Verb.MITIGATE, incident, move)) is not None:
        return refused
    eased = changed(incident, now, status=Status.MITIGATED, mitigated_at=now, mitigated_by=move.actor)
    entry = _state_change(now, move.actor, _told("Mitigated", move))
    return Decision(Reason.MITIGATED, eased, (entry,), Change.MITIGATED)


def resolve(incident: Incident, move: Move, now: datetime) -> Decision:
    """End an incident; its postmortem falls due 72 hours later."""
    if (refused := _refused(Verb.RESOLVE, incident, move)) is not None:
        return refused
    over = ended(incident, move.actor, now)
    unheard = incident.no_data_since
    unmeasured = f" (no data since {clock(unheard)}: that it has ended was not measured)" if unheard else ""
    entry = _state_change(now, move.actor, _told("Resolved", move) + unmeasured)
    return Decision(Reason.RESOLVED_BY_HAND, over, (entry,), Change.RESOLVED, records=(postmortem_due(over),))


def close(incident: Incident, move: Move, now: datetime) -> Decision:
    """Put a resolved incident away."""
    if (refused := _refused(Verb.CLOSE, incident, move)) is not None:
        return refused
    closed = changed(incident, now, status=Status.CLOSED, closed_at=now, closed_by=move.actor)
    entry = _state_change(now, move.actor, f"Closed by {move.actor}")
    return Decision(Reason.CLOSED, closed, (entry,), Change.CLOSED)


def reopen(incident: Incident, move: Move, other: Incident | None, now: datetime) -> Decision:
    """Go on with an incident that seemed over; `other` is the unresolved one of its alert group, if there is one."""
    if (refused := _refused(Verb.REOPEN, incident, move)) is not None:
        return refused
    if other is not None and other.id != incident.id:
        message = f"incident {other.id} of the same alerts is open: go on there, or merge it into another first"
        return refuse(incident, Reason.GROUP_HAS_ANOTHER, message)
    again = changed(
        incident,
        now,
        status=Status.OPEN,
        acknowledged_at=None,
        acknowledged_by="",
        mitigated_at=None,
        mitigated_by="",
        resolved_at=None,
        resolved_by="",
        closed_at=None,
        closed_by="",
        postmortem_due_at=None,
        reopened_at=now,
    )
    entry = _state_change(now, move.actor, _told("Reopened", move))
    records = (Due(DueKind.POSTMORTEM, incident.id, None),)
    return Decision(Reason.REOPENED, again, (entry,), Change.REOPENED, records=records)


def merge(source: Incident, target: Incident, move: Move, now: datetime) -> tuple[Decision, Decision | None]:
    """Close an incident that is part of another; return what becomes of it and of the other, None when refused."""
    if (refused := _refused(Verb.MERGE, source, move)) is not None:
        return refused, None
    if source.id == target.id:
        return refuse(source, Reason.MERGE_INTO_ITSELF, "an incident cannot be merged into itself"), None
    if target.status.over:
        message = f"incident {target.id} is {target.status}: reopen it before merging into it"
        return refuse(source, Reason.MERGE_INTO_OVER, message), None
    return _merged(source, target, move, now), _grown(source, target, move, now)


def ended(incident: Incident, by: str, now: datetime) -> Incident:
    """Return the incident as resolved."""
    due = now + POSTMORTEM_WITHIN
    return changed(incident, now, status=Status.RESOLVED, resolved_at=now, resolved_by=by, postmortem_due_at=due)


def clock(at: datetime) -> str:
    """Return an instant of today in words, to the minute."""
    return f"{at.astimezone(UTC):%H:%M} UTC"


def postmortem_due(incident: Incident) -> Due:
    """Return when the incident's postmortem falls due, for the list of what does."""
    return Due(DueKind.POSTMORTEM, incident.id, incident.postmortem_due_at)


def merged_name(group_key: str, fingerprint: str) -> str:
    """Return the name of an alert in an incident of another group; marked once, however often it is merged on."""
    if fingerprint.startswith(MERGED):
        return fingerprint
    return f"{MERGED}{hashlib.blake2b(group_key.encode(), digest_size=8).hexdigest()}:{fingerprint}"


def _brought(source: Incident) -> dict[str, bool]:
    return {merged_name(source.group_key, fingerprint): fires for fingerprint, fires in source.alerts.items()}


def _brought_silent(source: Incident) -> dict[str, datetime]:
    return {merged_name(source.group_key, fingerprint): since for fingerprint, since in source.silent.items()}


def _merged(source: Incident, target: Incident, move: Move, now: datetime) -> Decision:
    closed = changed(
        source,
        now,
        status=Status.CLOSED,
        resolved_at=source.resolved_at or now,
        resolved_by=source.resolved_by or move.actor,
        closed_at=now,
        closed_by=move.actor,
        merged_into=target.id,
        postmortem_due_at=None,
    )
    text = f"Merged into “{target.title}” by {move.actor}"
    entry = Entry(EntryKind.STATE_CHANGE, now, move.actor, SOURCE, text, f"/incidents/{target.id}")
    return Decision(Reason.MERGED, closed, (entry,), Change.MERGED, records=(Due(DueKind.POSTMORTEM, source.id, None),))


def _grown(source: Incident, target: Incident, move: Move, now: datetime) -> Decision:
    grown = changed(
        target,
        now,
        severity=max(target.severity, source.severity),
        services=unique(target.services, source.services),
        started_at=starts.began(min(target.started_at, source.started_at), now),
        alerts={**_brought(source), **target.alerts},
        silent={**_brought_silent(source), **target.silent},
    )
    text = f"“{source.title}” was merged into this incident by {move.actor}"
    entry = Entry(EntryKind.STATE_CHANGE, now, move.actor, SOURCE, text, f"/incidents/{source.id}")
    return Decision(Reason.MERGED_FROM, grown, (entry,), Change.UPDATED)


def _refused(verb: Verb, incident: Incident, move: Move) -> Decision | None:
    if (old := stale(incident, move.expected_version)) is not None:
        return old
    following = next_status(verb, incident)
    return refuse(incident, following, explain(following, incident)) if isinstance(following, Reason) else None


def _told(verb: str, move: Move) -> str:
    return f"{verb} by {move.actor}: {move.text}" if move.text else f"{verb} by {move.actor}"


def _state_change(now: datetime, actor: str, text: str) -> Entry:
    return Entry(EntryKind.STATE_CHANGE, now, actor, SOURCE, text)
