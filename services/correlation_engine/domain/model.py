"""What the ranking reads and what it answers. Every array has one value per step of the grid."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Equal time steps from `start`; `end` is the instant data reaches to, inside the last step."""

    start: datetime
    end: datetime
    step: timedelta = timedelta(minutes=1)

    @property
    def length(self) -> int:
        """Return the number of steps, the last of them possibly begun only."""
        return max(0, -((self.start - self.end) // self.step))

    def index(self, instant: datetime) -> int:
        """Return the step an instant falls into; outside the grid it is negative or at least `length`."""
        return (instant - self.start) // self.step

    def instant(self, index: int) -> datetime:
        """Return the start of a step."""
        return self.start + index * self.step

    def zeros(self) -> FloatArray:
        """Return an array of the grid's shape."""
        return np.zeros(self.length)


@dataclass(frozen=True, slots=True, eq=False)
class ServiceSeries:
    """What a service says of the requests it served. `duration_ms` sums; `p95_ms` is NaN where nothing was served."""

    service: str
    requests: FloatArray
    errors: FloatArray
    duration_ms: FloatArray
    p95_ms: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """Calls of one service to another, seen by the caller. Durations are sums in ms.

    `server_ms` is what the callee reports of the same calls. A node that is not `instrumented` reports nothing.
    """

    client: str
    server: str
    connection_type: str
    instrumented: bool
    calls: FloatArray
    errors: FloatArray
    client_ms: FloatArray
    server_ms: FloatArray
    unpaired: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LogSignature:
    """Log lines of one shape. `severity` is the OpenTelemetry severity number, 0 when the line states none."""

    service: str
    severity: int
    signature: str
    first_seen: datetime | None = field(default=None, kw_only=True)
    example: str
    counts: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LogTransition:
    """What a service logs after a statement, within one span.

    `ran` counts how often `signature` was logged, `followed` how often `following` came next; an empty `following` is
    the span's end. With an empty `signature` too, `ran` counts requests served and `followed` spans that log anything.
    """

    service: str
    signature: str
    following: str
    ran: FloatArray
    followed: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Gauge:
    """A measured level; NaN where nothing was reported. `unit` is UCUM."""

    service: str
    metric: str
    unit: str
    values: FloatArray


Series = TypeVar("Series", ServiceSeries, Edge, LogSignature, LogTransition, Gauge)


@dataclass(frozen=True, slots=True)
class Change:
    """A deploy of one service. `finished_at` is None while it rolls out; an empty `environment` is not known."""

    id: str
    service: str
    version: str
    started_at: datetime
    finished_at: datetime | None = None
    url: str = ""
    description: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Everything known of one tenant on one grid."""

    grid: Grid
    services: tuple[ServiceSeries, ...] = ()
    edges: tuple[Edge, ...] = ()
    signatures: tuple[LogSignature, ...] = ()
    gauges: tuple[Gauge, ...] = ()
    changes: tuple[Change, ...] = ()
    transitions: tuple[LogTransition, ...] = ()

    def first(self, steps: int) -> Telemetry:
        """Return the first steps of it, as if it had been read when they were over."""
        return replace(
            self,
            grid=replace(self.grid, end=min(self.grid.end, self.grid.instant(steps))),
            services=_first(self.services, steps),
            edges=_first(self.edges, steps),
            signatures=_first(self.signatures, steps),
            gauges=_first(self.gauges, steps),
            transitions=_first(self.transitions, steps),
        )


def _first(all_series: tuple[Series, ...], steps: int) -> tuple[Series, ...]:
    return tuple(_cut(series, steps) for series in all_series)


def _cut(series: Series, steps: int) -> Series:
    cut: dict[str, Any] = {
        f.name: value[:steps] for f in fields(series) if isinstance(value := getattr(series, f.name), np.ndarray)
    }
    return replace(series, **cut)


@dataclass(frozen=True, slots=True)
class Window:
    """The steps compared: `baseline`, at least one guard step, then `incident` from the onset to the grid's end."""

    grid: Grid
    baseline: slice
    incident: slice

    @property
    def onset(self) -> datetime:
        """Return when the trouble began, to the step."""
        return self.grid.instant(self.incident.start)

    @property
    def end(self) -> datetime:
        """Return the instant the incident window reaches to."""
        return min(self.grid.end, self.grid.instant(self.incident.stop))

    @property
    def baseline_start(self) -> datetime:
        """Return the first instant of the baseline."""
        return self.grid.instant(self.baseline.start)

    @property
    def baseline_end(self) -> datetime:
        """Return the first instant after the baseline."""
        return self.grid.instant(self.baseline.stop)

    @property
    def complete_incident(self) -> slice:
        """Return the incident steps that are over, for what is counted per time; may be empty."""
        whole = (self.grid.end - self.grid.start) // self.grid.step
        return slice(self.incident.start, max(self.incident.start, min(self.incident.stop, whole)))


class EvidenceKind(StrEnum):
    """The classes of evidence, one scorer each."""

    ERROR_ORIGIN = "error_origin"
    SELF_LATENCY = "self_latency"
    RESOURCE_SATURATION = "resource_saturation"
    UNHEALTHY_DEPENDENCY = "unhealthy_dependency"
    TRAFFIC_CHANGE = "traffic_change"
    LOG_SIGNATURE = "log_signature"
    LOST_BEHAVIOUR = "lost_behaviour"
    NETWORK_GAP = "network_gap"
    DEPLOY = "deploy"


class CauseKind(StrEnum):
    """What kind of thing went wrong."""

    DEPLOY = "deploy"
    SLOW_DEPENDENCY = "slow_dependency"
    DEAD_DEPENDENCY = "dead_dependency"
    RESOURCE_SATURATION = "resource_saturation"
    SERVICE_FAULT = "service_fault"
    UNCLEAR = "unclear"


class StoryPart(StrEnum):
    """Which part of the story a step tells."""

    CHANGE = "change"
    FIRST_FAILURE = "first_failure"
    BLAST_RADIUS = "blast_radius"


class Verdict(StrEnum):
    """Whether a cause could be named."""

    CAUSE_NAMED = "cause_named"
    NOT_ENOUGH_EVIDENCE = "not_enough_evidence"


class Reason(StrEnum):
    """Why the verdict is what it is."""

    CLEARS_NOISE = "clears_noise"
    NO_TELEMETRY = "no_telemetry"
    NO_BASELINE = "no_baseline"
    EDGES_BEHIND = "edges_behind"
    NO_SYMPTOM = "no_symptom"
    NOTHING_CLEARS_NOISE = "nothing_clears_noise"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One claim with its numbers. `observed` and `baseline` are in `unit`; `strength` is 0 to 1 within the class.

    `excess_errors` (failed requests or calls), `excess_ms` (time) and `excess_lost` (steps of work not done) are what
    this adds over the baseline in the whole incident window: the currencies in which suspects are compared. `course` is
    what was observed at each step of the grid, NaN where nothing was. `signature` is a log line's shape.
    """

    kind: EvidenceKind
    service: str
    statement: str
    observed: float
    baseline: float
    unit: str
    strength: float
    start: datetime
    end: datetime
    excess_errors: float = 0.0
    excess_ms: float = 0.0
    excess_lost: float = 0.0
    course: FloatArray | None = field(default=None, compare=False, repr=False)
    url: str = ""
    change_id: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class StoryStep:
    """One step of a hypothesis's story; `at` is None when it is not known when it began.

    `kind` is the class of the evidence it rests on, None for one that rests on what requests go through.
    """

    part: StoryPart
    service: str
    statement: str
    at: datetime | None = None
    kind: EvidenceKind | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One possible cause. `chain` runs from the suspect to the service that alerted."""

    rank: int
    service: str
    cause_kind: CauseKind
    statement: str
    score: float
    confidence: float
    evidence: tuple[Evidence, ...]
    chain: tuple[str, ...] = ()
    impacted: tuple[str, ...] = ()
    change_id: str = ""
    story: tuple[StoryStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """The answer for one incident at one time. `detail` is the reason in one sentence.

    `behind`: edges lagged, so that it looks at less than was asked for and should be repeated soon.
    """

    window: Window
    verdict: Verdict
    reason: Reason
    detail: str
    hypotheses: tuple[Hypothesis, ...] = field(default=())
    behind: bool = False
