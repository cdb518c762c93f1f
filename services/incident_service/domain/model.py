"""What an incident, a timeline entry and a decision are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum

TITLE_CHARS = 200


class Status(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(IntEnum):
    """How bad it is for users; ordered."""

    UNSPECIFIED = 0
    MINOR = 1
    MAJOR = 2
    CRITICAL = 3


class EntryKind(StrEnum):
    """What a timeline entry records."""

    ALERT = "alert"
    STATE_CHANGE = "state_change"
    NOTE = "note"
    HYPOTHESIS = "hypothesis"


class Change(Enum):
    """Which event tells of a decision."""

    OPENED = "opened"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Reason(StrEnum):
    """Why a decision came out as it did; a metric label."""

    OPENED_BY_HAND = "opened_by_hand"
    OPENED_BY_ALERTS = "opened_by_alerts"
    ALERTS_CHANGED = "alerts_changed"
    ALERTS_RESOLVED = "alerts_resolved"
    NOTHING_NEW = "nothing_new"
    NOTHING_OPEN = "nothing_open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED_BY_HAND = "resolved_by_hand"
    NOTE_ADDED = "note_added"
    CAUSE_NAMED = "cause_named"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"
    SAME_CONCLUSION = "same_conclusion"
    OLD_ANALYSIS = "old_analysis"
    ALREADY_ACKNOWLEDGED = "already_acknowledged"
    ALREADY_RESOLVED = "already_resolved"
    STALE_VERSION = "stale_version"


REFUSALS = frozenset({Reason.ALREADY_ACKNOWLEDGED, Reason.ALREADY_RESOLVED, Reason.STALE_VERSION})


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident. `alerts` tells for each fingerprint it has seen whether it still fires; instants are aware."""

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

    Nothing is to be written when `change` is None; `reason` then says why, and for a refusal `message` says it to
    the person.
    """

    reason: Reason
    incident: Incident | None = None
    entries: tuple[Entry, ...] = ()
    change: Change | None = None
    message: str = ""

    @property
    def refused(self) -> bool:
        """Tell whether the request must be turned down."""
        return self.reason in REFUSALS


def unique(*lists: Iterable[str]) -> tuple[str, ...]:
    """Join lists of names in order, each non-empty name once."""
    return tuple(dict.fromkeys(name for names in lists for name in names if name))


def shorten(text: str, limit: int) -> str:
    """Cut a text to a number of characters, showing that it was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
