"""The table of what may follow what: for each verb and status, the next status or the reason of the refusal."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from services.incident_service.domain.model import Incident, Reason, Status


class Verb(StrEnum):
    """What somebody wants to do to an incident's status."""

    ACKNOWLEDGE = "acknowledge"
    MITIGATE = "mitigate"
    RESOLVE = "resolve"
    CLOSE = "close"
    REOPEN = "reopen"
    MERGE = "merge"


_OPEN, _TAKEN, _MITIGATED, _RESOLVED, _CLOSED = Status
TRANSITIONS: Mapping[Verb, Mapping[Status, Status | Reason]] = {
    Verb.ACKNOWLEDGE: {
        _OPEN: _TAKEN,
        _TAKEN: Reason.ALREADY_ACKNOWLEDGED,
        _MITIGATED: Reason.ALREADY_MITIGATED,
        _RESOLVED: Reason.ALREADY_RESOLVED,
        _CLOSED: Reason.ALREADY_CLOSED,
    },
    Verb.MITIGATE: {
        _OPEN: _MITIGATED,
        _TAKEN: _MITIGATED,
        _MITIGATED: Reason.ALREADY_MITIGATED,
        _RESOLVED: Reason.ALREADY_RESOLVED,
        _CLOSED: Reason.ALREADY_CLOSED,
    },
    Verb.RESOLVE: {
        _OPEN: _RESOLVED,
        _TAKEN: _RESOLVED,
        _MITIGATED: _RESOLVED,
        _RESOLVED: Reason.ALREADY_RESOLVED,
        _CLOSED: Reason.ALREADY_CLOSED,
    },
    Verb.CLOSE: {
        _OPEN: Reason.NOT_RESOLVED,
        _TAKEN: Reason.NOT_RESOLVED,
        _MITIGATED: Reason.NOT_RESOLVED,
        _RESOLVED: _CLOSED,
        _CLOSED: Reason.ALREADY_CLOSED,
    },
    Verb.REOPEN: {
        _OPEN: Reason.NOT_OVER,
        _TAKEN: Reason.NOT_OVER,
        _MITIGATED: _OPEN,
        _RESOLVED: _OPEN,
        _CLOSED: _OPEN,
    },
    Verb.MERGE: {
        _OPEN: _CLOSED,
        _TAKEN: _CLOSED,
        _MITIGATED: _CLOSED,
        _RESOLVED: _CLOSED,
        _CLOSED: Reason.ALREADY_CLOSED,
    },
}


def next_status(verb: Verb, incident: Incident) -> Status | Reason:
    """Return the status a verb leads to, or why it is refused. A merged incident stays merged."""
    if incident.merged_into:
        return Reason.ALREADY_MERGED
    return TRANSITIONS[verb][incident.status]


def explain(reason: Reason, incident: Incident) -> str:
    """Return a refusal of the table in words."""
    match reason:
        case Reason.ALREADY_MERGED:
            return f"the incident was merged into {incident.merged_into}: go on there"
        case Reason.NOT_RESOLVED:
            return f"the incident is {incident.status}: resolve it before closing it"
        case Reason.NOT_OVER:
            return f"the incident is {incident.status}: there is nothing to reopen"
        case _:
            by = getattr(incident, f"{incident.status.value}_by")  # already so
            return f"the incident is already {incident.status} by {by}"
