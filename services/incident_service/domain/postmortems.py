"""Postmortems: drafted from the timeline, written by people, published, archived, and reported when they are late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.incident_service.domain import hypotheses
from services.incident_service.domain.lifecycle import SOURCE
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    refuse,
    shorten,
)
from services.incident_service.domain.records import (
    Due,
    DueKind,
    Postmortem,
    PostmortemStatus,
    Task,
    TaskKind,
    TaskStatus,
)

ACTOR = "incident_service"
SECTIONS = ("what_happened", "cause", "impact", "mitigations", "follow_ups")
REQUIRED = ("what_happened", "cause", "impact", "mitigations")  # before it can be published
SECTION_CHARS = 50_000
TOLD = 200  # timeline entries a draft tells of
_LINE_CHARS = 400
_STORY = frozenset(set(EntryKind) - {EntryKind.LINK, EntryKind.UPDATE, EntryKind.POSTMORTEM})


@dataclass(frozen=True, slots=True)
class Material:
    """What a draft is made from: the timeline, oldest first, and the incident's tasks."""

    timeline: Sequence[Entry]
    tasks: Sequence[Task]


def draft(incident: Incident, existing: Postmortem | None, material: Material, actor: str, now: datetime) -> Decision:
    """Draft the postmortem; refused when there is one."""
    if existing is not None:
        return refuse(incident, Reason.POSTMORTEM_EXISTS, f"there is a postmortem already: it is {existing.status}")
    postmortem = Postmortem(
        incident_id=incident.id,
        what_happened=_what_happened(material.timeline),
        cause=_cause(material.timeline),
        impact=_impact(incident, now),
        mitigations=_mitigations(material.timeline),
        follow_ups=_follow_ups(material.tasks),
        drafted_at=now,
        updated_by=actor,
        updated_at=now,
    )
    entry = _entry(now, actor, f"Postmortem drafted by {actor}")
    return Decision(Reason.POSTMORTEM_DRAFTED, incident, (entry,), Change.UPDATED, records=(postmortem,))


def edit(
    incident: Incident,
    postmortem: Postmortem,
    sections: Mapping[str, str],
    actor: str,
    expected_version: int | None,
    now: datetime,
) -> Decision:
    """Change sections of a draft; a published one is not changed any more."""
    if (refused := _stale(incident, postmortem, expected_version)) is not None:
        return refused
    if postmortem.status is not PostmortemStatus.DRAFT:
        message = f"the postmortem is {postmortem.status}: only a draft can be changed"
        return refuse(incident, Reason.POSTMORTEM_NOT_DRAFT, message)
    if all(getattr(postmortem, name) == text for name, text in sections.items()):
        return refuse(incident, Reason.NOTHING_CHANGED, "the postmortem says this already")
    values: dict[str, Any] = dict(sections)
    changed = _next(postmortem, actor, now, **values)
    names = ", ".join(name.replace("_", " ") for name in sections)
    entry = _entry(now, actor, f"Postmortem changed by {actor}: {names}")
    return Decision(Reason.POSTMORTEM_CHANGED, incident, (entry,), Change.UPDATED, records=(changed,))


def publish(
    incident: Incident, postmortem: Postmortem, actor: str, expected_version: int | None, now: datetime
) -> Decision:
    """Publish a draft; refused while the incident goes on or a required section is empty."""
    if (refused := _stale(incident, postmortem, expected_version)) is not None:
        return refused
    if postmortem.status is not PostmortemStatus.DRAFT:
        return refuse(incident, Reason.POSTMORTEM_NOT_DRAFT, f"the postmortem is {postmortem.status} already")
    if not incident.status.over:
        message = f"the incident is {incident.status}: resolve it before publishing its postmortem"
        return refuse(incident, Reason.NOT_RESOLVED, message)
    missing = [name.replace("_", " ") for name in REQUIRED if not getattr(postmortem, name).strip()]
    if missing:
        return refuse(incident, Reason.POSTMORTEM_INCOMPLETE, f"these sections are empty: {', '.join(missing)}")
    published = _next(postmortem, actor, now, status=PostmortemStatus.PUBLISHED, published_at=now)
    entry = Entry(
        EntryKind.POSTMORTEM, now, actor, SOURCE, f"Postmortem published by {actor}",
        f"/incidents/{incident.id}/postmortem",
    )  # fmt: skip
    records = (published, Due(DueKind.POSTMORTEM, incident.id, None))
    return Decision(Reason.POSTMORTEM_PUBLISHED, incident, (entry,), Change.POSTMORTEM_PUBLISHED, records=records)


def archive(incident: Incident, postmortem: Postmortem, actor: str, now: datetime) -> Decision:
    """Put a published postmortem away."""
    if postmortem.status is not PostmortemStatus.PUBLISHED:
        message = f"the postmortem is {postmortem.status}: only a published one can be archived"
        return refuse(incident, Reason.POSTMORTEM_NOT_PUBLISHED, message)
    archived = _next(postmortem, actor, now, status=PostmortemStatus.ARCHIVED, archived_at=now)
    entry = _entry(now, actor, f"Postmortem archived by {actor}")
    return Decision(Reason.POSTMORTEM_ARCHIVED, incident, (entry,), Change.UPDATED, records=(archived,))


def report_postmortem(incident: Incident, postmortem: Postmortem | None, now: datetime) -> Decision:
    """Report a postmortem that is late: begun, or owed for an incident that hurt more than a few users."""
    due = incident.postmortem_due_at
    done = postmortem is not None and postmortem.status is not PostmortemStatus.DRAFT
    owed = postmortem is not None or incident.severity >= Severity.MAJOR
    if due is None or due > now or done or not owed or not incident.status.over:
        return Decision(Reason.NOT_OVERDUE, incident)
    entry = _entry(
        now, ACTOR, f"Overdue: the postmortem was to be published by {due.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    )
    return Decision(Reason.POSTMORTEM_OVERDUE, incident, (entry,), Change.POSTMORTEM_OVERDUE)


def _what_happened(timeline: Sequence[Entry]) -> str:
    told = [e for e in timeline if e.kind in _STORY]
    lines = [f"{e.occurred_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC: {_line(e)}" for e in told[:TOLD]]
    return "\n".join(lines + ([f"(and {len(told) - TOLD} more on the timeline)"] if len(told) > TOLD else []))


def _cause(timeline: Sequence[Entry]) -> str:
    """Return what people said last that the cause was, else what the analysis said last; rejections name no cause."""
    found = [e for e in timeline if e.kind is EntryKind.HYPOTHESIS and not e.text.startswith(hypotheses.REJECTED)]
    said = [e for e in found if e.source == hypotheses.SOURCE]
    return _line((said or found)[-1]) if found else ""


def _impact(incident: Incident, now: datetime) -> str:
    end = incident.mitigated_at or incident.resolved_at
    lasted = f"lasted {_length((end or now) - incident.started_at)}{'' if end else ' so far'}{_unmeasured(incident)}"
    severity = "not judged" if incident.severity is Severity.UNSPECIFIED else incident.severity.name.lower()
    services = ", ".join(incident.services) or "no service named"
    times = f"{incident.started_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"Severity: {severity}.\nServices: {services}.\nAlerts fired from {times}; it {lasted}."


def _unmeasured(incident: Incident) -> str:
    """Say where no data tells when it ended; empty where data does."""
    since = incident.no_data_since
    if since is None or incident.mitigated_at:
        return ""
    known = f"; no data since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC, so "
    return known + (
        "when it really ended was not measured" if incident.status.over else "whether it goes on is not known"
    )


def _mitigations(timeline: Sequence[Entry]) -> str:
    ending = [
        _line(e) for e in timeline if e.kind is EntryKind.STATE_CHANGE and e.text.startswith(("Mitigated", "Resolved"))
    ]
    return "\n".join(ending)


def _follow_ups(tasks: Sequence[Task]) -> str:
    open_items = [t for t in tasks if t.kind is TaskKind.ACTION_ITEM and t.status is not TaskStatus.CANCELLED]
    return "\n".join(f"{t.title}{f' ({t.owner})' if t.owner else ''}" for t in open_items)


def _line(entry: Entry) -> str:
    return shorten(" ".join(entry.text.split()), _LINE_CHARS)


def _length(span: timedelta) -> str:
    minutes = max(0, round(span.total_seconds() / 60))
    hours = minutes // 60
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else "less than a minute"


def _stale(incident: Incident, postmortem: Postmortem, expected_version: int | None) -> Decision | None:
    if expected_version is None or expected_version == postmortem.version:
        return None
    message = f"the postmortem has version {postmortem.version}, not {expected_version}: read it again"
    return refuse(incident, Reason.STALE_VERSION, message)


def _next(postmortem: Postmortem, actor: str, now: datetime, **changes: Any) -> Postmortem:
    return replace(postmortem, **changes, updated_by=actor, updated_at=now, version=postmortem.version + 1)


def _entry(now: datetime, actor: str, text: str) -> Entry:
    return Entry(EntryKind.POSTMORTEM, now, actor, SOURCE, text)
