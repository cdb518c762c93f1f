"""What is kept beside an incident: role assignments, links, tasks, updates to people outside, postmortems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias


class TaskKind(StrEnum):
    """What a task is for: to end this incident, or so that it does not happen again."""

    TASK = "task"
    ACTION_ITEM = "action_item"


class TaskStatus(StrEnum):
    """How far a task is."""

    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


class PublicStatus(StrEnum):
    """How far an incident is, in the words of a status page."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"


class PostmortemStatus(StrEnum):
    """How far a postmortem is."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    """One time a person had a role; `renounced_at` is None while they have it."""

    incident_id: str
    role: str
    person: str
    assigned_by: str
    assumed_at: datetime
    renounced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoleChange:
    """A role goes to a person, empty for nobody, and away from whoever had it."""

    role: str
    person: str
    assigned_by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A page that belongs to an incident."""

    id: str
    incident_id: str
    title: str
    url: str
    added_by: str
    added_at: datetime


class AlertState(StrEnum):
    """What is known of an alert's condition."""

    FIRING = "firing"
    NO_DATA = "no_data"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class SeenAlert:
    """One alert of an incident as last told, in its own words; `severity` is a number of the incident's scale."""

    incident_id: str
    name: str
    alert_name: str
    service: str
    severity: int
    state: AlertState
    starts_at: datetime
    ended_at: datetime | None
    no_data_since: datetime | None
    updated_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something somebody has to do; `due_at` is None when there is no hurry, `finished_at` while it is open."""

    id: str
    incident_id: str
    kind: TaskKind
    title: str
    owner: str
    due_at: datetime | None
    created_by: str
    created_at: datetime
    status: TaskStatus = TaskStatus.OPEN
    finished_at: datetime | None = None
    version: int = 1

    def late(self, now: datetime) -> bool:
        """Tell whether it is open and its time has passed."""
        return self.status is TaskStatus.OPEN and self.due_at is not None and self.due_at <= now


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """One thing people outside were told."""

    id: str
    incident_id: str
    status: PublicStatus
    message: str
    public: bool
    posted_by: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class Postmortem:
    """What was learned. The sections are plain text, one paragraph or item on a line."""

    incident_id: str
    what_happened: str
    cause: str
    impact: str
    mitigations: str
    follow_ups: str
    drafted_at: datetime
    updated_by: str
    updated_at: datetime
    status: PostmortemStatus = PostmortemStatus.DRAFT
    published_at: datetime | None = None
    archived_at: datetime | None = None
    version: int = 1


class DueKind(StrEnum):
    """What can fall due."""

    TASK = "task"
    POSTMORTEM = "postmortem"


@dataclass(frozen=True, slots=True)
class Due:
    """A subject falls due at an instant; None takes it off the list."""

    kind: DueKind
    subject: str
    at: datetime | None


class FeedbackVerdict(StrEnum):
    """What a person found about a hypothesis."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    REAL_CAUSE = "real_cause"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person found about a hypothesis, which is kept as it was judged; rank 0 when none was."""

    id: str
    incident_id: str
    analysis_version: int
    rank: int
    verdict: FeedbackVerdict
    service: str
    cause_kind: str
    confidence: float
    statement: str
    real_service: str
    real_cause: str
    note: str
    actor: str
    given_at: datetime


Record: TypeAlias = RoleChange | Link | Task | StatusUpdate | Postmortem | Due | Feedback
