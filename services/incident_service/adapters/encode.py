"""Domain values as protobuf messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.alert.v1 import alert_pb2
from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_events_pb2 as events
from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import response_pb2 as work

from services.incident_service.domain.alert_group import DASHBOARD, RUNBOOK, web_address
from services.incident_service.domain.communication import Channel, Rendered, Template
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Priority,
    Role,
    Severity,
    Status,
)
from services.incident_service.domain.records import (
    AlertState,
    Link,
    Postmortem,
    PostmortemStatus,
    PublicStatus,
    RoleAssignment,
    SeenAlert,
    StatusUpdate,
    Task,
    TaskKind,
    TaskStatus,
)
from services.incident_service.handlers.communication import Shown
from services.incident_service.ports import DatedPostmortem

E = TypeVar("E", bound=Enum)


def _numbers(members: type[E], numbers: Mapping[str, int], prefix: str) -> dict[E, int]:
    """Pair members with the contract's values of the same name; KeyError when one is missing there."""
    return {member: numbers[prefix + member.name] for member in members}


STATUSES = _numbers(Status, dict(pb.IncidentStatus.items()), "INCIDENT_STATUS_")
SEVERITIES = _numbers(Severity, dict(pb.IncidentSeverity.items()), "INCIDENT_SEVERITY_")
PRIORITIES = _numbers(Priority, dict(pb.IncidentPriority.items()), "INCIDENT_PRIORITY_")
ROLES = _numbers(Role, dict(pb.IncidentRole.items()), "INCIDENT_ROLE_")
KINDS = _numbers(EntryKind, dict(pb.TimelineKind.items()), "TIMELINE_KIND_")
TASK_KINDS = _numbers(TaskKind, dict(work.TaskKind.items()), "TASK_KIND_")
TASK_STATUSES = _numbers(TaskStatus, dict(work.TaskStatus.items()), "TASK_STATUS_")
POSTMORTEM_STATUSES = _numbers(PostmortemStatus, dict(work.PostmortemStatus.items()), "POSTMORTEM_STATUS_")
ALERT_STATES = _numbers(AlertState, dict(alert_pb2.AlertStatus.items()), "ALERT_STATUS_")
CHANNELS = _numbers(Channel, dict(outside.Channel.items()), "CHANNEL_")
PUBLIC_STATUSES = _numbers(PublicStatus, dict(outside.PublicStatus.items()), "PUBLIC_STATUS_")


def incident_message(incident: Incident) -> pb.Incident:
    """Return an incident as the contract has it."""
    return pb.Incident(
        id=incident.id,
        tenant_id=incident.tenant,
        title=incident.title,
        status=STATUSES[incident.status],  # type: ignore[arg-type]  # the stubs want a type of their own
        severity=SEVERITIES[incident.severity],  # type: ignore[arg-type]
        services=incident.services,
        group_key=incident.group_key,
        started_at=timestamp(incident.started_at),
        opened_at=timestamp(incident.opened_at),
        acknowledged_at=timestamp(incident.acknowledged_at),
        acknowledged_by=incident.acknowledged_by,
        resolved_at=timestamp(incident.resolved_at),
        resolved_by=incident.resolved_by,
        version=incident.version,
        priority=PRIORITIES[incident.priority],  # type: ignore[arg-type]
        summary=incident.summary,
        bridge_url=incident.bridge_url,
        commander=incident.commander,
        scribe=incident.scribe,
        communications=incident.communications,
        mitigated_at=timestamp(incident.mitigated_at),
        mitigated_by=incident.mitigated_by,
        closed_at=timestamp(incident.closed_at),
        no_data_since=timestamp(None if incident.status.over else incident.no_data_since),
        closed_by=incident.closed_by,
        merged_into=incident.merged_into,
        public=incident.public,
        public_title=incident.public_title,
        postmortem_due_at=timestamp(incident.postmortem_due_at),
        reopened_at=timestamp(incident.reopened_at),
        updated_at=timestamp(incident.updated_at),
        onset_at=timestamp(incident.onset_at),
        onset_seen_at=timestamp(incident.onset_seen_at),
    )


def entry_message(incident_id: str, entry: Entry) -> pb.TimelineEntry:
    """Return a timeline entry as the contract has it."""
    return pb.TimelineEntry(
        id=entry.id,
        incident_id=incident_id,
        kind=KINDS[entry.kind],  # type: ignore[arg-type]
        occurred_at=timestamp(entry.occurred_at),
        actor=entry.actor,
        source=entry.source,
        text=entry.text,
        url=entry.url,
    )


def role_message(role: RoleAssignment) -> work.RoleAssignment:
    """Return a role assignment as the contract has it."""
    return work.RoleAssignment(
        incident_id=role.incident_id,
        role=ROLES[Role(role.role)],  # type: ignore[arg-type]
        person=role.person,
        assigned_by=role.assigned_by,
        assumed_at=timestamp(role.assumed_at),
        renounced_at=timestamp(role.renounced_at),
    )


def alert_message(alert: SeenAlert) -> pb.IncidentAlert:
    """Return an alert as the contract has it."""
    return pb.IncidentAlert(
        id=alert.name,
        name=alert.alert_name,
        service=alert.service,
        severity=SEVERITIES[Severity(alert.severity)],  # type: ignore[arg-type]
        status=ALERT_STATES[alert.state],  # type: ignore[arg-type]
        starts_at=timestamp(alert.starts_at),
        ended_at=timestamp(alert.ended_at),
        no_data_since=timestamp(alert.no_data_since),
        updated_at=timestamp(alert.updated_at),
        labels=alert.labels,
        annotations=alert.annotations,
        generator_url=alert.generator_url,
        runbook_url=web_address(alert.annotations, RUNBOOK),
        dashboard_url=web_address(alert.annotations, DASHBOARD),
    )


def link_message(link: Link) -> work.Link:
    """Return a link as the contract has it."""
    return work.Link(
        id=link.id, incident_id=link.incident_id, title=link.title, url=link.url, added_by=link.added_by,
        added_at=timestamp(link.added_at),
    )  # fmt: skip


def task_message(task: Task) -> work.Task:
    """Return a task as the contract has it."""
    return work.Task(
        id=task.id,
        incident_id=task.incident_id,
        kind=TASK_KINDS[task.kind],  # type: ignore[arg-type]
        title=task.title,
        owner=task.owner,
        due_at=timestamp(task.due_at),
        status=TASK_STATUSES[task.status],  # type: ignore[arg-type]
        created_by=task.created_by,
        created_at=timestamp(task.created_at),
        finished_at=timestamp(task.finished_at),
        version=task.version,
    )


def postmortem_message(dated: DatedPostmortem) -> work.Postmortem:
    """Return a postmortem as the contract has it."""
    postmortem: Postmortem = dated.postmortem
    return work.Postmortem(
        incident_id=postmortem.incident_id,
        status=POSTMORTEM_STATUSES[postmortem.status],  # type: ignore[arg-type]
        what_happened=postmortem.what_happened,
        cause=postmortem.cause,
        impact=postmortem.impact,
        mitigations=postmortem.mitigations,
        follow_ups=postmortem.follow_ups,
        due_at=timestamp(dated.due_at),
        drafted_at=timestamp(postmortem.drafted_at),
        updated_by=postmortem.updated_by,
        updated_at=timestamp(postmortem.updated_at),
        published_at=timestamp(postmortem.published_at),
        archived_at=timestamp(postmortem.archived_at),
        version=postmortem.version,
    )


def update_message(update: StatusUpdate) -> outside.StatusUpdate:
    """Return a status update as the contract has it."""
    return outside.StatusUpdate(
        id=update.id,
        incident_id=update.incident_id,
        status=PUBLIC_STATUSES[update.status],  # type: ignore[arg-type]
        message=update.message,
        public=update.public,
        posted_by=update.posted_by,
        posted_at=timestamp(update.posted_at),
    )


def template_message(template: Template) -> outside.MessageTemplate:
    """Return a template as the contract has it."""
    return outside.MessageTemplate(
        channel=CHANNELS[template.channel],  # type: ignore[arg-type]
        subject=template.subject,
        body=template.body,
        updated_by=template.updated_by,
        updated_at=timestamp(template.updated_at),
    )


def rendered_message(channel: Channel, rendered: Rendered) -> outside.RenderedMessage:
    """Return a rendered message as the contract has it."""
    number = CHANNELS[channel]
    return outside.RenderedMessage(channel=number, subject=rendered.subject, body=rendered.body)  # type: ignore[arg-type]


def public_message(shown: Shown) -> outside.PublicIncident:
    """Return an incident for the status page: only what everybody may know, and nobody's name."""
    whole = shown.incident
    known = pb.Incident(
        id=whole.id,
        title=whole.public_title or whole.title,
        status=STATUSES[whole.status],  # type: ignore[arg-type]
        severity=SEVERITIES[whole.severity],  # type: ignore[arg-type]
        services=whole.services,
        started_at=timestamp(whole.started_at),
        opened_at=timestamp(whole.opened_at),
        mitigated_at=timestamp(whole.mitigated_at),
        resolved_at=timestamp(whole.resolved_at),
        public=True,
    )
    updates = [update_message(u) for u in shown.updates]
    for update in updates:
        update.posted_by = ""
    return outside.PublicIncident(
        incident=known,
        status=PUBLIC_STATUSES[shown.status],  # type: ignore[arg-type]
        updates=updates,
        updated_at=timestamp(shown.updated_at),
    )


_EVENTS: Mapping[Change, type[Message]] = {
    Change.UPDATED: events.IncidentUpdated,
    Change.ACKNOWLEDGED: events.IncidentAcknowledged,
    Change.MITIGATED: events.IncidentMitigated,
    Change.RESOLVED: events.IncidentResolved,
    Change.CLOSED: events.IncidentClosed,
    Change.REOPENED: events.IncidentReopened,
    Change.MERGED: events.IncidentMerged,
    Change.POSTMORTEM_OVERDUE: events.PostmortemOverdue,
}


def event_message(decision: Decision, incident: Incident, entry: Entry) -> Message:
    """Return the event that tells of a decision; `entry` is the timeline entry that records it."""
    whole, recorded = incident_message(incident), entry_message(incident.id, entry)
    match decision.change:
        case Change.OPENED:
            return events.IncidentOpened(incident=whole)
        case Change.TASK_OVERDUE:
            task = next(r for r in decision.records if isinstance(r, Task))
            return events.TaskOverdue(incident=whole, entry=recorded, task=task_message(task))
        case Change.POSTMORTEM_PUBLISHED:
            found = next(r for r in decision.records if isinstance(r, Postmortem))
            published = postmortem_message(DatedPostmortem(found, incident.postmortem_due_at))
            return events.PostmortemPublished(incident=whole, entry=recorded, postmortem=published)
        case None:
            raise ValueError(f"no event tells of {decision.reason}")
        case change:
            return _EVENTS[change](incident=whole, entry=recorded)


def timestamp(instant: datetime | None) -> Timestamp | None:
    """Return an instant as a protobuf timestamp."""
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp
