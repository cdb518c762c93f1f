"""What an incident, a timeline entry and a decision are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import Any

from services.incident_service.domain.records import Record

TITLE_CHARS = 200


class Status(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def over(self) -> bool:
        """Tell whether the trouble has ended."""
        return self in (Status.RESOLVED, Status.CLOSED)


class Severity(IntEnum):
    """How bad it is for users; ordered."""

    UNSPECIFIED = 0
    MINOR = 1
    MAJOR = 2
    CRITICAL = 3


class Priority(IntEnum):
    """How soon somebody must act; P1 is the most urgent."""

    UNSPECIFIED = 0
    P1 = 1
    P2 = 2
    P3 = 3
    P4 = 4
    P5 = 5


class Role(StrEnum):
    """What a person does in an incident; the value is the name of the incident's field."""

    COMMANDER = "commander"
    SCRIBE = "scribe"
    COMMUNICATIONS = "communications"


class EntryKind(StrEnum):
    """What a timeline entry records."""

    ALERT = "alert"
    STATE_CHANGE = "state_change"
    NOTE = "note"
    DEPLOY = "deploy"
    HYPOTHESIS = "hypothesis"
    INGEST = "ingest"
    ROUTE = "route"
    PAGE = "page"
    ACKNOWLEDGEMENT = "acknowledgement"
    POSTMORTEM = "postmortem"
    ROLE = "role"
    TASK = "task"
    LINK = "link"
    STATUS_UPDATE = "status_update"
    UPDATE = "update"


class Change(Enum):
    """Which event tells of a decision."""

    OPENED = "opened"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    TASK_OVERDUE = "task_overdue"
    POSTMORTEM_OVERDUE = "postmortem_overdue"
    POSTMORTEM_PUBLISHED = "postmortem_published"


class Reason(StrEnum):
    """Why a decision came out as it did; a metric label."""

    OPENED_BY_HAND = "opened_by_hand"
    OPENED_BY_ALERTS = "opened_by_alerts"
    ALERTS_CHANGED = "alerts_changed"
    ALERTS_RESOLVED = "alerts_resolved"
    FLAPPED = "flapped"
    NOTHING_NEW = "nothing_new"
    NOTHING_OPEN = "nothing_open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED_BY_HAND = "resolved_by_hand"
    NOTE_ADDED = "note_added"
    CAUSE_NAMED = "cause_named"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
    SAME_CONCLUSION = "same_conclusion"
    OLD_ANALYSIS = "old_analysis"
    FEEDBACK_GIVEN = "feedback_given"
    MITIGATED = "mitigated"
    CLOSED = "closed"
    REOPENED = "reopened"
    MERGED = "merged"
    MERGED_FROM = "merged_from"
    CHANGED = "changed"
    ROLE_GIVEN = "role_given"
    ROLE_VACATED = "role_vacated"
    ENTRY_RECORDED = "entry_recorded"
    LINK_ADDED = "link_added"
    TASK_CREATED = "task_created"
    TASK_CHANGED = "task_changed"
    TASK_OVERDUE = "task_overdue"
    UPDATE_POSTED = "update_posted"
    POSTMORTEM_DRAFTED = "postmortem_drafted"
    POSTMORTEM_CHANGED = "postmortem_changed"
    POSTMORTEM_PUBLISHED = "postmortem_published"
    POSTMORTEM_ARCHIVED = "postmortem_archived"
    POSTMORTEM_OVERDUE = "postmortem_overdue"
    NOT_OVERDUE = "not_overdue"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    ALREADY_MITIGATED = "already_mitigated"
    ALREADY_RESOLVED = "already_resolved"
    ALREADY_CLOSED = "already_closed"
    NOT_RESOLVED = "not_resolved"
    NOT_OVER = "not_over"
    ALREADY_MERGED = "already_merged"
    MERGE_INTO_ITSELF = "merge_into_itself"
    MERGE_INTO_OVER = "merge_into_over"
    GROUP_HAS_ANOTHER = "group_has_another"
    NOTHING_CHANGED = "nothing_changed"
    ROLE_HELD_ALREADY = "role_held_already"
    NOT_PUBLIC = "not_public"
    TOO_MANY = "too_many"
    POSTMORTEM_EXISTS = "postmortem_exists"
    POSTMORTEM_NOT_DRAFT = "postmortem_not_draft"
    POSTMORTEM_NOT_PUBLISHED = "postmortem_not_published"
    POSTMORTEM_INCOMPLETE = "postmortem_incomplete"
    STALE_VERSION = "stale_version"


REFUSALS = frozenset(
    {
        Reason.ALREADY_ACKNOWLEDGED,
        Reason.ALREADY_MITIGATED,
        Reason.ALREADY_RESOLVED,
        Reason.ALREADY_CLOSED,
        Reason.NOT_RESOLVED,
        Reason.NOT_OVER,
        Reason.ALREADY_MERGED,
        Reason.MERGE_INTO_ITSELF,
        Reason.MERGE_INTO_OVER,
        Reason.GROUP_HAS_ANOTHER,
        Reason.NOTHING_CHANGED,
        Reason.ROLE_HELD_ALREADY,
        Reason.NOT_PUBLIC,
        Reason.TOO_MANY,
        Reason.POSTMORTEM_EXISTS,
        Reason.POSTMORTEM_NOT_DRAFT,
        Reason.POSTMORTEM_NOT_PUBLISHED,
        Reason.POSTMORTEM_INCOMPLETE,
        Reason.STALE_VERSION,
    }
)


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. `alerts` tells for each fingerprint it has seen whether it goes on; instants are aware.

    `silent` has, for those of them without data, since when there is none: they go on as far as anybody knows.
    `flaps` counts how often its alerts fired again soon after all had ended. `made_title` is the title as its alerts
    make it. `onset_at` is when the newest trouble in it began, `onset_seen_at` when that was told; None while it is
    what it was opened for.
    """

    id: str
    tenant: str
    title: str
    status: Status
    severity: Severity
    services: tuple[str, ...]
    group_key: str
    started_at: datetime
    opened_at: datetime
    alerts: Mapping[str, bool] = field(default_factory=dict)
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    resolved_by: str = ""
    version: int = 1
    priority: Priority = Priority.UNSPECIFIED
    summary: str = ""
    bridge_url: str = ""
    commander: str = ""
    scribe: str = ""
    communications: str = ""
    mitigated_at: datetime | None = None
    mitigated_by: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""
    merged_into: str = ""
    public: bool = False
    public_title: str = ""
    postmortem_due_at: datetime | None = None
    silent: Mapping[str, datetime] = field(default_factory=dict)
    reopened_at: datetime | None = None
    changed_at: datetime | None = None
    flaps: int = 0
    made_title: str = ""
    onset_at: datetime | None = None
    onset_seen_at: datetime | None = None

    @property
    def fires(self) -> bool:
        """Tell whether an alert that it has seen still fires."""
        return any(self.alerts.values())

    @property
    def updated_at(self) -> datetime:
        """Return when it was last changed: when it was opened, before anything was."""
        return self.changed_at or self.opened_at

    @property
    def no_data_since(self) -> datetime | None:
        """Return since when nothing is heard of any alert that goes on; None while something is, or nothing goes on."""
        going_on = [name for name, fires in self.alerts.items() if fires]
        if not going_on or any(name not in self.silent for name in going_on):
            return None
        return max(self.silent[name] for name in going_on)


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact for the timeline. `source` is the door it came through; `id` is empty until it is written."""

    kind: EntryKind
    occurred_at: datetime
    actor: str
    source: str
    text: str
    url: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do: the incident as it shall be, what to write on its timeline, and which event to publish.

    `records` are what else is to be kept with it, such as a task. Nothing is to be written when `change` is None;
    `reason` then says why, and for a refusal `message` says it to the person.
    """

    reason: Reason
    incident: Incident | None = None
    entries: tuple[Entry, ...] = ()
    change: Change | None = None
    message: str = ""
    records: tuple[Record, ...] = ()

    @property
    def refused(self) -> bool:
        """Tell whether the request must be turned down."""
        return self.reason in REFUSALS


def changed(incident: Incident, now: datetime, **fields: Any) -> Incident:
    """Return the next version of an incident, with some fields as they shall be."""
    return replace(incident, version=incident.version + 1, changed_at=now, **fields)


def refuse(incident: Incident, reason: Reason, message: str) -> Decision:
    """Return a refusal; `message` says to the person why."""
    return Decision(reason, incident, message=message)


def stale(incident: Incident, expected_version: int | None) -> Decision | None:
    """Return a refusal when the caller has seen another version than there is; None when it has not said."""
    if expected_version is None or expected_version == incident.version:
        return None
    message = f"the incident has version {incident.version}, not {expected_version}: read it again"
    return refuse(incident, Reason.STALE_VERSION, message)


def unique(*lists: Iterable[str]) -> tuple[str, ...]:
    """Join lists of names in order, each non-empty name once."""
    return tuple(dict.fromkeys(name for names in lists for name in names if name))


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters, showing that it was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
