"""The facts pages are made of. Instants are timezone-aware UTC, durations milliseconds unless a name says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from services.console.domain.causes import Check, StoryStep


class Status(Enum):
    """Where an incident is in its life; the value is the word people read."""

    UNKNOWN = "unknown"
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def over(self) -> bool:
        """Tell whether the trouble has ended."""
        return self in (Status.RESOLVED, Status.CLOSED)


class Severity(Enum):
    """How bad an incident is for users; the value is the word people read."""

    UNKNOWN = "not judged"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as the incident service tells it."""

    id: str
    title: str
    status: Status
    severity: Severity
    services: tuple[str, ...]
    started_at: datetime
    opened_at: datetime
    version: int
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    resolved_at: datetime | None = None
    resolved_by: str = ""
    priority: str = ""
    summary: str = ""
    bridge_url: str = ""
    commander: str = ""
    scribe: str = ""
    communications: str = ""
    mitigated_at: datetime | None = None
    mitigated_by: str = ""
    closed_by: str = ""
    merged_into: str = ""
    public: bool = False
    public_title: str = ""
    postmortem_due_at: datetime | None = None
    no_data_since: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Something somebody has to do; `kind` and `status` are the words people read."""

    id: str
    kind: str
    title: str
    owner: str
    status: str
    version: int
    due_at: datetime | None = None

    def late(self, now: datetime) -> bool:
        """Tell whether it is open and its time has passed."""
        return self.status == "open" and self.due_at is not None and self.due_at <= now


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of an incident in its own words; `state` is the word people read."""

    name: str
    service: str
    severity: Severity
    state: str
    starts_at: datetime
    ended_at: datetime | None
    no_data_since: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    generator_url: str = ""
    runbook_url: str = ""
    dashboard_url: str = ""

    @property
    def summary(self) -> str:
        """Return the annotation that says it in a sentence; empty when none does."""
        return next((self.annotations[n] for n in ("summary", "description", "message") if n in self.annotations), "")


@dataclass(frozen=True, slots=True)
class Link:
    """A page that belongs to an incident."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Postmortem:
    """What was learned; `status` is the word people read, `sections` the texts by name."""

    status: str
    sections: Mapping[str, str]
    version: int
    updated_by: str
    updated_at: datetime
    due_at: datetime | None = None
    published_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PublicUpdate:
    """One thing people outside were told; `status` is the word of a status page."""

    id: str
    status: str
    message: str
    posted_at: datetime


@dataclass(frozen=True, slots=True)
class PublicIncident:
    """An incident as the status page shows it; updates newest first."""

    incident: Incident
    status: str
    updates: tuple[PublicUpdate, ...]
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One fact in the life of an incident; `kind` is the word people read, such as `note`."""

    kind: str
    occurred_at: datetime
    actor: str
    source: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One claim with its numbers in `unit` (UCUM), over the range from `start` to `end` where known."""

    kind: str
    service: str
    statement: str
    observed: float
    baseline: float
    unit: str
    strength: float
    start: datetime | None = None
    end: datetime | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One possible cause; `confidence` runs from 0 to 1."""

    rank: int
    service: str
    cause: str
    statement: str
    confidence: float
    evidence: tuple[Evidence, ...] = ()
    chain: tuple[str, ...] = ()
    impacted: tuple[str, ...] = ()
    deploy_id: str = ""
    story: tuple[StoryStep, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def untold(self) -> tuple[Evidence, ...]:
        """Return the evidence that the story does not tell already."""
        told = {step.statement for step in self.story}
        return tuple(e for e in self.evidence if e.statement not in told)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A ranking of causes; `named` tells whether the first clears the evidence threshold, `change` what was new."""

    version: int
    named: bool
    reason: str
    hypotheses: tuple[Hypothesis, ...]
    analysed_at: datetime | None = None
    onset: datetime | None = None
    change: str = ""


@dataclass(frozen=True, slots=True)
class Deploy:
    """One change of one service; `status`, `kind` and `movement` are the words people read, empty when unknown."""

    id: str
    service: str
    environment: str
    version: str
    revision: str
    status: str
    provider: str
    repository: str
    actor: str
    url: str
    description: str
    started_at: datetime
    finished_at: datetime | None = None
    kind: str = "deploy"
    movement: str = ""


@dataclass(frozen=True, slots=True)
class MinuteHealth:
    """One minute of one service as its own server and consumer spans tell it, or its callers where it has none.

    `latency_ms` is the 95th percentile, or the mean its callers saw when `seen_by_callers`.
    """

    service: str
    minute: datetime
    calls: int
    errors: int
    latency_ms: float | None
    seen_by_callers: bool = False

    @property
    def error_ratio(self) -> float:
        """Return errors per call, 0 without calls."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class GaugeMinute:
    """One minute of one resource of a service, in a UCUM unit; a share of a limit is that of the fullest instance."""

    metric: str
    unit: str
    minute: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls from one service to another over a window; `instrumented` is false when the server sends no telemetry.

    `minutes` is how many of the window its client was heard in: the time in which its calls were measured.
    """

    client: str
    server: str
    kind: str
    instrumented: bool
    calls: int
    errors: int
    mean_ms: float
    minutes: int

    @property
    def per_second(self) -> float:
        """Return calls per second of the time they were measured in, 0 when they were not."""
        return self.calls / (60 * self.minutes) if self.minutes else 0.0

    @property
    def error_ratio(self) -> float:
        """Return errors per call, 0 without calls."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class ServiceSummary:
    """One service over a window; `p95_ms` is None when it had no calls."""

    service: str
    calls: int
    errors: int
    p95_ms: float | None
    last_seen: datetime

    @property
    def error_ratio(self) -> float:
        """Return errors per call, 0 without calls."""
        return self.errors / self.calls if self.calls else 0.0


@dataclass(frozen=True, slots=True)
class LogSignature:
    """Log lines of one shape in a window; `severity_number` is OpenTelemetry's, 17 and up being errors."""

    severity_number: int
    signature: str
    example: str
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of a page that could not be read now, and why, in words; `forbidden`: to this caller never."""

    part: str
    reason: str
    forbidden: bool = False
