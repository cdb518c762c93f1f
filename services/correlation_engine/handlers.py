"""Follows open incidents, analyses each when it is due, and publishes what is new."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.correlation.v1.correlation_pb2 import VERDICT_CAUSE_NAMED
from incidentscope.incident.v1.incident_events_pb2 import (
    IncidentMerged,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    IncidentUpdated,
)
from incidentscope.incident.v1.incident_pb2 import Incident
from prometheus_client import Counter, Histogram

from libs.kernel import starts
from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.domain.analysis import analyse
from services.correlation_engine.domain.environments import suspects
from services.correlation_engine.domain.model import Analysis, Change, Reason
from services.correlation_engine.domain.schedule import LOOK_BACK, OpenIncident, next_due, telemetry_range
from services.correlation_engine.encode import encode, explain, news
from services.correlation_engine.ports import Deploys, Environments, Incidents, Publisher, TelemetryStore
from services.correlation_engine.whereabouts import Assumed

log = structlog.get_logger()
RETRY = timedelta(seconds=2)
GIVE_UP = timedelta(hours=1)  # of failing; a restart takes up what is still open
EPOCH = datetime(1970, 1, 1, tzinfo=UTC) + starts.LONGEST
AT_ONCE = 4  # analyses side by side
ANALYSES = Counter("incidentscope_correlation_engine_analyses_total", "Analyses made", ["reason"])
PUBLISHED = Counter("incidentscope_correlation_engine_published_total", "What became of analyses", ["news"])
SECONDS = Histogram("incidentscope_correlation_engine_analysis_seconds", "From due to published")


def open_incident(incident: Incident) -> OpenIncident:
    """Return what the engine keeps of an incident; raises InvalidInput without id, tenant or a time of its opening."""
    if not incident.id or not incident.tenant_id or not incident.HasField("opened_at"):
        raise InvalidInput("incomplete_incident", "an incident needs id, tenant_id and opened_at")
    opened, started, again = _latest_outage(incident)
    return OpenIncident(
        tenant=incident.tenant_id,
        id=incident.id,
        services=tuple(incident.services),
        started_at=starts.began(started, opened),
        opened_at=opened,
        reopened=again,
    )


def _latest_outage(incident: Incident) -> tuple[datetime, datetime, bool]:
    """Return when the latest outage of an incident was told, when it began, and whether it is not the first."""
    opened = _instant(incident.opened_at)
    told = [(opened, _instant(incident.started_at) if incident.HasField("started_at") else opened, False)]
    if incident.HasField("reopened_at"):
        told.append((_instant(incident.reopened_at), _instant(incident.reopened_at), True))
    if incident.HasField("onset_seen_at"):
        told.append((_instant(incident.onset_seen_at), _instant(incident.onset_at), True))
    return max(told, key=lambda outage: (outage[0], outage[2]))


def _tells_of_an_onset(event: IncidentUpdated) -> bool:
    """Tell whether an event is the one that told of the newest trouble, and not a later change."""
    return event.incident.HasField("onset_seen_at") and event.incident.onset_seen_at == event.entry.occurred_at


def _reopened(event: IncidentReopened) -> Incident:
    """Return the incident with the time of its reopening, which an older incident_service tells in the entry alone."""
    incident = Incident()
    incident.CopyFrom(event.incident)
    if not incident.HasField("reopened_at") and event.entry.HasField("occurred_at"):
        incident.reopened_at.CopyFrom(event.entry.occurred_at)
    return incident


def _knows_less(published: HypothesesPublished | None, analysis: Analysis) -> bool:
    """Tell whether an answer lacks what an earlier one saw: it takes no cause back, and is repeated soon."""
    named = published is not None and published.verdict == VERDICT_CAUSE_NAMED
    return named and analysis.reason is Reason.EDGES_BEHIND


def _instant(stamp: Timestamp) -> datetime:
    try:
        return max(stamp.ToDatetime(tzinfo=UTC), EPOCH)  # Go's zero time is before all that can be counted back from
    except (ValueError, OverflowError) as exc:
        raise InvalidInput("bad_time", f"not a time: {stamp.seconds} s") from exc


@dataclass(frozen=True, slots=True)
class Followed:
    """One incident under watch: since when, when it is due, and what was published last as far as is known.

    `answered` tells whether that is about this outage, and not about the one before the incident was reopened.
    """

    incident: OpenIncident
    since: datetime
    due_at: datetime
    published: HypothesesPublished | None = None
    looked_up: bool = False
    answered: bool = False
    behind: bool = False


class Correlator:
    """The engine's state is a plan only: what is open and when it is due. It is rebuilt from incident_service."""

    def __init__(
        self,
        telemetry: TelemetryStore,
        deploys: Deploys,
        incidents: Incidents,
        publisher: Publisher,
        clock: Clock,
        environments: Environments = Assumed(),  # noqa: B008  # it has no state
    ) -> None:
        self._telemetry = telemetry
        self._deploys = deploys
        self._incidents = incidents
        self._publisher = publisher
        self._clock = clock
        self._environments = environments
        self._followed: dict[tuple[str, str], Followed] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    @property
    def following(self) -> frozenset[str]:
        """Return the ids of the incidents that have analyses to come."""
        return frozenset(incident_id for _tenant, incident_id in self._followed)

    async def on_event(self, data: Message) -> None:
        """Follow an incident from its opening to its end; the same event twice changes nothing. Raises InvalidInput."""
        if isinstance(data, IncidentOpened) or (isinstance(data, IncidentUpdated) and _tells_of_an_onset(data)):
            self._follow(open_incident(data.incident), self._clock.now())
        elif isinstance(data, IncidentReopened):
            self._follow(open_incident(_reopened(data)), self._clock.now())
        elif isinstance(data, IncidentResolved | IncidentMerged):
            self._followed.pop((data.incident.tenant_id, data.incident.id), None)

    async def recover(self, tenant: str) -> None:
        """Follow what a tenant has open at start, so a crash costs no analysis; raises Unavailable, InvalidInput."""
        for incident in await self._incidents.open(tenant):
            self._follow(incident, self._clock.now())

    def _follow(self, incident: OpenIncident, now: datetime) -> None:
        key = (incident.tenant, incident.id)
        known = self._followed.get(key)
        if known is None or known.incident.opened_at < incident.opened_at:
            self._followed[key] = Followed(incident, since=now, due_at=now)
            log.info("incident_followed", tenant=incident.tenant, incident=incident.id, services=incident.services)

    async def run_due(self) -> None:
        """Analyse every incident that is due and plan its next time."""
        now = self._clock.now()
        due = [key for key, followed in self._followed.items() if followed.due_at <= now]
        await asyncio.gather(*(self._run(key) for key in due))

    async def _run(self, key: tuple[str, str]) -> None:
        async with self._slots:
            followed = self._followed.get(key)
            if followed is None:
                return
            started = self._clock.now()
            try:
                with SECONDS.time():
                    followed = await self._analyse(followed, started)
            except Unavailable as exc:
                log.warning("analysis_postponed", tenant=key[0], incident=key[1], error=str(exc))
                late = started > followed.since + GIVE_UP
                self._plan(followed, None if late else started + RETRY)
                return
            except Exception as exc:
                # One incident we cannot analyse must not keep the others waiting; the next step tries again.
                ANALYSES.labels("failed").inc()
                log.error("analysis_failed", tenant=key[0], incident=key[1], error=repr(exc), exc_info=exc)
            self._plan(followed, next_due(followed.incident, started, followed.behind))

    def _plan(self, followed: Followed, due_at: datetime | None) -> None:
        """Keep what is known and when to look again, unless the incident ended or was reopened meanwhile."""
        key = (followed.incident.tenant, followed.incident.id)
        known = self._followed.get(key)
        if known is None or known.incident.opened_at != followed.incident.opened_at:
            return
        if due_at is None:
            del self._followed[key]
        else:
            self._followed[key] = replace(followed, due_at=due_at)

    async def _analyse(self, followed: Followed, now: datetime) -> Followed:
        incident = followed.incident
        if not followed.looked_up:
            stored = await self._incidents.latest(incident)
            analysed_at = stored.analysed_at.ToDatetime(tzinfo=UTC) if stored else None
            current = analysed_at is not None and (not incident.reopened or analysed_at >= incident.opened_at)
            followed = replace(followed, published=stored, looked_up=True, answered=current)
            if current and next_due(incident, analysed_at) is None:
                return followed  # all steps were done before a restart
        analysis = await self._gather(incident, now, hurried=not followed.answered)
        followed = replace(followed, behind=analysis.behind)
        ANALYSES.labels(analysis.reason.value).inc()
        version = followed.published.version + 1 if followed.published else 1
        fresh = encode(incident, analysis, version, now)
        before = followed.published if followed.answered else None
        why = None if _knows_less(before, analysis) else news(before, fresh)
        log.info(
            "incident_analysed", tenant=incident.tenant, incident=incident.id, verdict=analysis.verdict.value,
            reason=analysis.reason.value, news=why or "none", behind=analysis.behind,
            cause=analysis.hypotheses[0].service if analysis.hypotheses else "",
        )  # fmt: skip
        if why is not None:
            fresh = explain(followed.published, fresh, why)
            await self._publisher.publish(fresh)
        PUBLISHED.labels(why or "unchanged").inc()
        return followed if why is None else replace(followed, published=fresh, answered=True)

    async def _gather(self, incident: OpenIncident, now: datetime, hurried: bool) -> Analysis:
        """Read and analyse; hurried for the first answer, which somebody waits for: the next looks closer."""
        start, end = telemetry_range(incident, now)
        telemetry, changes = await asyncio.gather(
            self._telemetry.load(incident.tenant, start, end, hurried), self._changes(incident, start, now)
        )
        telemetry = replace(telemetry, changes=changes)
        return await asyncio.to_thread(analyse, telemetry, incident.services, incident.started_at)

    async def _changes(self, incident: OpenIncident, start: datetime, now: datetime) -> tuple[Change, ...]:
        """Return the deploys to where the incident is; without an answer the analysis goes on, a later one has them."""
        try:
            found = await self._deploys.between(incident.tenant, start - LOOK_BACK, now)
        except (Unavailable, InvalidInput) as exc:
            log.warning("deploys_unknown", tenant=incident.tenant, incident=incident.id, error=str(exc))
            return ()
        if not found:
            return ()
        where = await self._environments.of(incident, now)
        kept = suspects(found, where)
        if len(kept) < len(found):
            elsewhere = sorted({c.environment for c in found} - {c.environment for c in kept})
            log.info("deploys_elsewhere", tenant=incident.tenant, incident=incident.id, outage=where, deploys=elsewhere)
        return kept
