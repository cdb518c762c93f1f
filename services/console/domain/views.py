"""The pages as values: everything a template shows, already decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from libs.kernel import starts
from libs.kernel.quantities import percent
from libs.kernel.timewindow import TimeWindow
from services.console.domain import charts, listing
from services.console.domain.causes import Background
from services.console.domain.charts import Chart, Marker, Measure, Point
from services.console.domain.edgechange import EdgeChange, added_errors, moved
from services.console.domain.filters import Filters, alerts_of
from services.console.domain.formats import duration
from services.console.domain.models import (
    Alert,
    Analysis,
    Deploy,
    GaugeMinute,
    Incident,
    Link,
    LogSignature,
    MinuteHealth,
    Missing,
    Postmortem,
    ServiceSummary,
    Task,
    TimelineEntry,
)
from services.console.domain.servicemap import Roles, ServiceMap

MAX_RUNBOOKS = 6  # links on top of an incident's page
MAX_CARDS = 6
MAX_SUSPECTS = 3
PLAUSIBLE = 0.15  # confidence from which a cause behind the first is marked as a suspect


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One line of the list. `confidence` is None until a cause was named."""

    incident: Incident
    age: str
    cause: str = ""
    cause_kind: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class IncidentList:
    """The list page. `error` says why it cannot be had as `filters` ask for it."""

    rows: tuple[IncidentRow, ...]
    filters: Filters
    next_page_token: str
    now: datetime
    error: str = ""
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenElsewhere:
    """How many incidents of another tenant go on; `more` when there are more than were counted."""

    tenant: str
    incidents: int
    more: bool


@dataclass(frozen=True, slots=True)
class ServiceCard:
    """Charts of one service, and the minutes behind them for the table."""

    service: str
    role: str
    mark: str
    latency: Chart
    errors: Chart
    minutes: tuple[MinuteHealth, ...]
    seen_by_callers: bool
    latency_change: str
    error_change: str


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """The page of one incident. `analysis` is None before the first one."""

    incident: Incident
    now: datetime
    began: datetime
    window: TimeWindow
    analysis: Analysis | None
    timeline: tuple[TimelineEntry, ...]
    cards: tuple[ServiceCard, ...]
    other_services: tuple[str, ...]
    service_map: ServiceMap | None
    deploys: tuple[Deploy, ...]
    deploy_window: TimeWindow
    named_deploys: frozenset[str]
    tasks: tuple[Task, ...] = ()
    links: tuple[Link, ...] = ()
    alerts: tuple[Alert, ...] = ()
    alert_filters: Filters = field(default_factory=lambda: Filters(alerts_of("")))
    alert_error: str = ""
    background: Background = field(default_factory=Background)
    missing: tuple[Missing, ...] = ()

    @property
    def about(self) -> str:
        """Return which analysis and hypothesis a real cause is held against: the latest and its first, if any."""
        if self.analysis is None:
            return ""
        return f"{self.analysis.version}.{self.analysis.hypotheses[0].rank if self.analysis.hypotheses else 0}"

    @property
    def shown_alerts(self) -> tuple[Alert, ...]:
        """Return the alerts that its filters let through."""
        return tuple(alert for alert in self.alerts if listing.admits(self.alert_filters, alert))

    @property
    def runbooks(self) -> tuple[Link, ...]:
        """Return where the alerts themselves say what to do and where to look, each address once."""
        found = {a.runbook_url: f"Runbook: {a.name}" for a in self.alerts if a.runbook_url}
        found |= {a.dashboard_url: f"Dashboard: {a.name}" for a in self.alerts if a.dashboard_url}
        return tuple(Link(title, url) for url, title in list(found.items())[:MAX_RUNBOOKS])

    @property
    def open_tasks(self) -> int:
        """Return how many tasks are to be done."""
        return sum(task.status == "open" for task in self.tasks)

    @property
    def age(self) -> str:
        """Return how long the incident lasts, or lasted."""
        return age(self.incident, self.began, self.now)


@dataclass(frozen=True, slots=True)
class AnalysisPage:
    """The page of one analysis of an incident, the latest or an older one."""

    incident: Incident
    now: datetime
    window: TimeWindow
    analysis: Analysis
    background: Background
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class PostmortemPage:
    """The page of a postmortem, None before it is drafted; `items` are the action items."""

    incident: Incident
    now: datetime
    postmortem: Postmortem | None
    items: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class ServicePage:
    """The page of one service. `cards` holds one card, or none without telemetry."""

    service: str
    now: datetime
    window: TimeWindow
    card: ServiceCard | None
    load: Chart | None
    callers: tuple[EdgeChange, ...]
    callees: tuple[EdgeChange, ...]
    signatures: tuple[LogSignature, ...]
    deploys: tuple[Deploy, ...]
    resources: tuple[Chart, ...] = ()
    incidents: tuple[Incident, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """One service of the list beside its own time before, None when it had no calls then."""

    now: ServiceSummary
    before: ServiceSummary | None

    @property
    def failing(self) -> bool:
        """Tell whether more calls fail than before, beyond everyday noise."""
        return added_errors(self.now, self.before) > 0

    @property
    def errors(self) -> str:
        """Return the share of failed calls; with that of before where more fail: `0.1 % → 31 %`."""
        now = percent(self.now.error_ratio)
        return moved(percent(self.before.error_ratio), now) if self.before and self.failing else now


@dataclass(frozen=True, slots=True)
class ServiceList:
    """The page of all services of a window."""

    services: tuple[ServiceRow, ...]
    filters: Filters
    window: TimeWindow
    now: datetime
    error: str = ""
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class DeployList:
    """The page of deploys."""

    deploys: tuple[Deploy, ...]
    filters: Filters
    window: TimeWindow
    now: datetime
    truncated: bool = False
    error: str = ""
    missing: tuple[Missing, ...] = ()


def onset(incident: Incident, analysis: Analysis | None, now: datetime) -> datetime:
    """Return when the latest trouble of an incident set in, to the minute; as its first alert until it was analysed."""
    return starts.began((analysis.onset if analysis else None) or incident.started_at, now)


def began(incident: Incident, analysis: Analysis | None, now: datetime) -> datetime:
    """Return when an incident began: at its onset, and never after its first alert, as that of a reopened one is."""
    return min(onset(incident, analysis, now), starts.began(incident.started_at, now))


def age(incident: Incident, since: datetime, now: datetime) -> str:
    """Return how long an incident lasts since it began, or lasted once resolved."""
    end = incident.resolved_at if incident.status.over and incident.resolved_at else now
    return duration(max(end, since) - since)


def row(incident: Incident, analysis: Analysis | None, now: datetime) -> IncidentRow:
    """Return an incident's line in the list, with its cause when one was named."""
    since = began(incident, analysis, now)
    line = IncidentRow(incident, age(incident, since, now))
    if analysis is None or not analysis.named or not analysis.hypotheses:
        return line
    first = analysis.hypotheses[0]
    return replace(line, cause=first.service, cause_kind=first.cause, confidence=first.confidence)


def roles(incident: Incident, analysis: Analysis | None) -> Roles:
    """Return whom to mark: suspects only when a cause was named, and everyone known to suffer."""
    affected = set(incident.services)
    suspects: dict[str, int] = {}
    if analysis is not None and analysis.named:
        for hypothesis in analysis.hypotheses[:MAX_SUSPECTS]:
            if hypothesis.rank == 1 or hypothesis.confidence >= PLAUSIBLE:
                suspects.setdefault(hypothesis.service, hypothesis.rank)
        first = analysis.hypotheses[:1]
        affected |= {s for h in first for s in (*h.chain, *h.impacted)}
    return Roles(suspects, frozenset(affected - suspects.keys()))


def charted(incident: Incident, analysis: Analysis | None) -> list[str]:
    """Return the services worth a chart, the likeliest cause first, then who alerted, then the rest."""
    hypotheses = analysis.hypotheses[:MAX_SUSPECTS] if analysis is not None else ()
    first, others = hypotheses[:1], hypotheses[1:]
    ordered: list[str] = [h.service for h in first]
    ordered += incident.services
    ordered += [s for h in first for s in h.chain]
    ordered += [h.service for h in others if h.confidence >= PLAUSIBLE]
    ordered += [s for h in first for s in h.impacted]
    ordered += [h.service for h in others]
    return list(dict.fromkeys(s for s in ordered if s))


def card(
    service: str, mark: tuple[str, str], minutes: Iterable[MinuteHealth], window: TimeWindow, markers: Sequence[Marker]
) -> ServiceCard:
    """Return the latency and error charts of one service."""
    own = sorted(minutes, key=lambda m: m.minute)
    by_callers = bool(own) and all(m.seen_by_callers for m in own)
    latency = [Point(m.minute, m.latency_ms) for m in own if m.latency_ms is not None]
    errors = [Point(m.minute, m.error_ratio) for m in own if m.calls]
    set_in = next((m.at for m in markers if m.kind == "onset"), None)
    name = "Mean latency seen by callers" if by_callers else "Latency (p95)"
    return ServiceCard(
        service=service,
        role=mark[0],
        mark=mark[1],
        latency=charts.draw(name, Measure.LATENCY, latency, window, markers),
        errors=charts.draw("Error rate", Measure.ERROR_RATIO, errors, window, markers),
        minutes=tuple(own),
        seen_by_callers=by_callers,
        latency_change=change(Measure.LATENCY, latency, set_in),
        error_change=change(Measure.ERROR_RATIO, errors, set_in),
    )


def load(minutes: Iterable[MinuteHealth], window: TimeWindow, markers: Sequence[Marker]) -> Chart:
    """Return the chart of calls per minute."""
    points = [Point(m.minute, float(m.calls)) for m in minutes]
    return charts.draw("Calls per minute", Measure.RATE, points, window, markers)


def resources(gauges: Iterable[GaugeMinute], window: TimeWindow, markers: Sequence[Marker]) -> tuple[Chart, ...]:
    """Return a chart for each resource, in the order they come."""
    by_metric: dict[tuple[str, str], list[Point]] = {}
    for gauge in gauges:
        by_metric.setdefault((gauge.metric, gauge.unit), []).append(Point(gauge.minute, gauge.value))
    return tuple(
        charts.draw(metric, _measure(metric, unit), points, window, markers)
        for (metric, unit), points in by_metric.items()
    )


def _measure(metric: str, unit: str) -> Measure:
    if unit == "By":
        return Measure.BYTES
    return Measure.ERROR_RATIO if unit in ("1", "") and metric.endswith("utilization") else Measure.LEVEL


def change(measure: Measure, points: Sequence[Point], onset: datetime | None) -> str:
    """Say what onset did to a series: `45 ms → 1.24 s`, typical before to highest after; empty when unknown."""
    if not points:
        return ""
    after = [p.value for p in points if onset is None or p.at >= onset]
    before = [p.value for p in points if onset is not None and p.at < onset]
    if not before or not after:
        return f"up to {measure.write(max(after or before))}"
    return f"{measure.write(charts.median(before))} → {measure.write(max(after))}"


def deploy_markers(deploys: Iterable[Deploy], services: Sequence[str], named: frozenset[str]) -> list[Marker]:
    """Return a marker for each deploy of these services, and for those a hypothesis names."""
    return [
        Marker(
            d.started_at,
            f"{d.service} {d.version}".strip() if d.service not in services else d.version or "deploy",
            "deploy",
        )
        for d in deploys
        if d.service in services or d.id in named
    ]
