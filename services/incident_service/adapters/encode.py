"""Domain values as protobuf messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.incident.v1 import incident_events_pb2 as events
from incidentscope.incident.v1 import incident_pb2 as pb

from services.incident_service.domain.model import Change, Entry, EntryKind, Incident, Severity, Status

STATUSES = {
    Status.OPEN: pb.INCIDENT_STATUS_OPEN,
    Status.ACKNOWLEDGED: pb.INCIDENT_STATUS_ACKNOWLEDGED,
    Status.RESOLVED: pb.INCIDENT_STATUS_RESOLVED,
}
SEVERITIES = {
    Severity.UNSPECIFIED: pb.INCIDENT_SEVERITY_UNSPECIFIED,
    Severity.MINOR: pb.INCIDENT_SEVERITY_MINOR,
    Severity.MAJOR: pb.INCIDENT_SEVERITY_MAJOR,
    Severity.CRITICAL: pb.INCIDENT_SEVERITY_CRITICAL,
}
KINDS = {
    EntryKind.ALERT: pb.TIMELINE_KIND_ALERT,
    EntryKind.STATE_CHANGE: pb.TIMELINE_KIND_STATE_CHANGE,
    EntryKind.NOTE: pb.TIMELINE_KIND_NOTE,
    EntryKind.HYPOTHESIS: pb.TIMELINE_KIND_HYPOTHESIS,
}


def incident_message(incident: Incident) -> pb.Incident:
    """Return an incident as the contract has it."""
    return pb.Incident(
        id=incident.id,
        tenant_id=incident.tenant,
        title=incident.title,
        status=STATUSES[incident.status],
        severity=SEVERITIES[incident.severity],
        services=incident.services,
        group_key=incident.group_key,
        started_at=_timestamp(incident.started_at),
        opened_at=_timestamp(incident.opened_at),
        acknowledged_at=_timestamp(incident.acknowledged_at),
        acknowledged_by=incident.acknowledged_by,
        resolved_at=_timestamp(incident.resolved_at),
        resolved_by=incident.resolved_by,
        version=incident.version,
    )


def entry_message(incident_id: str, entry: Entry) -> pb.TimelineEntry:
    """Return a timeline entry as the contract has it."""
    return pb.TimelineEntry(
        id=entry.id,
        incident_id=incident_id,
        kind=KINDS[entry.kind],
        occurred_at=_timestamp(entry.occurred_at),
        actor=entry.actor,
        source=entry.source,
        text=entry.text,
        url=entry.url,
    )


def event_message(change: Change, incident: Incident, entry: Entry) -> Message:
    """Return the event that tells of a change; `entry` is the timeline entry that records it."""
    whole = incident_message(incident)
    if change is Change.OPENED:
        return events.IncidentOpened(incident=whole)
    recorded = entry_message(incident.id, entry)
    match change:
        case Change.ACKNOWLEDGED:
            return events.IncidentAcknowledged(incident=whole, entry=recorded)
        case Change.RESOLVED:
            return events.IncidentResolved(incident=whole, entry=recorded)
        case Change.UPDATED:
            return events.IncidentUpdated(incident=whole, entry=recorded)


def _timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp
