"""Incidents for people: the list, one incident with everything around it, and what people do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy_contract
from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.console import decode
from services.console.domain import edgechange, servicemap, views, windows
from services.console.domain.charts import Marker
from services.console.domain.edgechange import EdgeChange
from services.console.domain.filters import Filters, alerts_of
from services.console.domain.models import (
    Alert,
    Analysis,
    Deploy,
    Incident,
    Link,
    MinuteHealth,
    Task,
    TimelineEntry,
)
from services.console.handlers import causes, lists, response
from services.console.handlers.checks import checked_actor, checked_id, checked_note
from services.console.handlers.parts import Parts
from services.console.ports import Deploys, Incidents, RefusalReason, Refused, Telemetry

CHANGES_WHAT_RUNS = (deploy_pb2.CHANGE_KIND_DEPLOY, deploy_pb2.CHANGE_KIND_CONFIGURATION)
_TIMELINE_PAGE, _TIMELINE_PAGES = 1000, 5
_AT_ONCE = 10  # causes looked up at the same time for one list


@dataclass(frozen=True, slots=True)
class IncidentPages:
    """Puts the pages about incidents together."""

    incidents: Incidents
    deploys: Deploys
    telemetry: Telemetry
    clock: Clock

    async def incident_list(self, tenant: str, filters: Filters, page_token: str) -> views.IncidentList:
        """Return the list; one without rows and with an error when it cannot be had as it is asked for."""
        now, parts = self.clock.now(), Parts()
        try:
            reading = lists.listed(self.incidents, tenant, lists.request_of(filters, page_token))
            answer = await parts.take("Incidents", reading, contract.ListIncidentsResponse())
        except InvalidInput as exc:
            return views.IncidentList((), filters, "", now, str(exc))
        found = [decode.incident(m) for m in answer.incidents]
        causes = await self._causes(tenant, found, parts)
        rows = tuple(views.row(i, a, now) for i, a in zip(found, causes, strict=True))
        return views.IncidentList(rows, filters, answer.next_page_token, now, missing=parts.missing)

    async def _causes(self, tenant: str, found: Sequence[Incident], parts: Parts) -> Sequence[Analysis | None]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(incident: Incident) -> Analysis | None:
            async with limit:
                return await parts.take("Causes", self._analysis(tenant, incident.id), None)

        return await asyncio.gather(*(one(i) for i in found))

    async def page(self, tenant: str, incident_id: str, query: Sequence[tuple[str, str]] = ()) -> views.IncidentPage:
        """Return the page of one incident, `query` narrowing its alerts.

        Raises InvalidInput, Refused with NOT_FOUND, or Unavailable.
        """
        parts = Parts()
        nothing: list[TimelineEntry] = []
        no_tasks: tuple[Task, ...] = ()
        no_links: tuple[Link, ...] = ()
        no_alerts: tuple[Alert, ...] = ()
        (answer, analysis, timeline, background), (tasks, links, alerts) = await asyncio.gather(
            asyncio.gather(
                self.incidents.get(tenant, contract.GetIncidentRequest(id=checked_id(incident_id))),
                parts.take("Causes", self._analysis(tenant, incident_id), None),
                parts.take("Timeline", self._timeline(tenant, incident_id), nothing),
                causes.background_of(self.incidents, tenant, incident_id, parts),
            ),
            asyncio.gather(
                parts.take("Tasks", response.tasks_of(self.incidents, tenant, incident_id), no_tasks),
                parts.take("Links", response.links_of(self.incidents, tenant, incident_id), no_links),
                parts.take("Alerts", response.alerts_of(self.incidents, tenant, incident_id), no_alerts),
            ),
        )
        incident = decode.incident(answer.incident)
        page = await self._around(tenant, incident, analysis, timeline, parts)
        narrowed, wrong = _narrowed(incident.id, query)
        return replace(
            page,
            tasks=tasks,
            links=links,
            alerts=alerts,
            background=background,
            alert_filters=narrowed,
            alert_error=wrong,
        )

    async def find(self, tenant: str, incident_id: str) -> Incident:
        """Return one incident by itself; raises as `page`."""
        answer = await self.incidents.get(tenant, contract.GetIncidentRequest(id=checked_id(incident_id)))
        return decode.incident(answer.incident)

    async def _around(
        self,
        tenant: str,
        incident: Incident,
        analysis: Analysis | None,
        timeline: Sequence[TimelineEntry],
        parts: Parts,
    ) -> views.IncidentPage:
        now = self.clock.now()
        onset = views.onset(incident, analysis, now)
        window = windows.around_onset(incident, onset, now)
        worst = windows.troubled(incident, onset, window, now)
        charted = views.charted(incident, analysis)
        shown = charted[: views.MAX_CARDS]
        no_minutes: list[MinuteHealth] = []
        no_changes: list[EdgeChange] = []
        no_deploys: list[Deploy] = []
        usual = windows.before(worst, windows.BEFORE_ONSET)
        minutes, changes, deploys = await asyncio.gather(
            parts.take("Charts", minutes_of(self.telemetry, tenant, shown, window), no_minutes),
            parts.take("Service map", edges_compared(self.telemetry, tenant, worst, usual), no_changes),
            parts.take("Deploys", deploys_in(self.deploys, tenant, (), windows.for_deploys(window)), no_deploys),
        )
        roles = views.roles(incident, analysis)
        named = frozenset(h.deploy_id for h in (analysis.hypotheses if analysis else ()) if h.deploy_id)
        happened = [Marker(onset, "onset", "onset")]
        happened += [Marker(incident.resolved_at, "resolved", "resolved")] if incident.resolved_at else []
        return views.IncidentPage(
            incident=incident,
            now=now,
            began=views.began(incident, analysis, now),
            window=window,
            analysis=analysis,
            timeline=tuple(reversed(timeline)),
            cards=tuple(_cards(shown, minutes, roles, window, happened, deploys, named)),
            other_services=tuple(charted[views.MAX_CARDS :]),
            service_map=servicemap.draw(changes, roles, worst.duration // timedelta(minutes=1)) if changes else None,
            deploys=tuple(deploys),
            deploy_window=windows.for_deploys(window),
            named_deploys=named,
            missing=parts.missing,
        )

    async def _analysis(self, tenant: str, incident_id: str) -> Analysis | None:
        try:
            answer = await self.incidents.hypotheses(tenant, contract.GetHypothesesRequest(id=incident_id))
        except Refused as exc:
            if exc.reason is RefusalReason.NOT_FOUND:
                return None
            raise
        return decode.analysis(answer.analysis) if answer.analysis != HypothesesPublished() else None

    async def _timeline(self, tenant: str, incident_id: str) -> list[TimelineEntry]:
        entries: list[TimelineEntry] = []
        token = ""
        for _ in range(_TIMELINE_PAGES):
            request = contract.ListTimelineRequest(id=incident_id, page_size=_TIMELINE_PAGE, page_token=token)
            answer = await self.incidents.timeline(tenant, request)
            entries += [decode.timeline_entry(e) for e in answer.entries]
            token = answer.next_page_token
            if not token:
                break
        return entries

    async def acknowledge(self, tenant: str, incident_id: str, actor: str, note: str, version: int) -> None:
        """Take an incident and keep the note, if any; raises InvalidInput, Refused or Unavailable."""
        note = checked_note(note)
        request = contract.AcknowledgeIncidentRequest(
            id=checked_id(incident_id), actor=checked_actor(actor), expected_version=version
        )
        await self.incidents.acknowledge(tenant, request)
        if note:
            await self.note(tenant, incident_id, actor, note)

    async def resolve(self, tenant: str, incident_id: str, actor: str, resolution: str, version: int) -> None:
        """End an incident; raises InvalidInput, Refused or Unavailable."""
        request = contract.ResolveIncidentRequest(
            id=checked_id(incident_id),
            actor=checked_actor(actor),
            resolution=checked_note(resolution),
            expected_version=version,
        )
        await self.incidents.resolve(tenant, request)

    async def note(self, tenant: str, incident_id: str, actor: str, text: str) -> None:
        """Write a note on the timeline; raises InvalidInput, Refused or Unavailable."""
        note = checked_note(text)
        if not note:
            raise InvalidInput("no_note", "The note is empty: write something first.")
        request = contract.AddNoteRequest(id=checked_id(incident_id), actor=checked_actor(actor), text=note)
        await self.incidents.add_note(tenant, request)


def _narrowed(incident_id: str, query: Sequence[tuple[str, str]]) -> tuple[Filters, str]:
    """Return what the alerts of an incident are narrowed by, and why not when it is nothing they can be."""
    filters = Filters.read(alerts_of(incident_id), query)
    try:
        filters.check()
    except InvalidInput as exc:
        return Filters(filters.offer), str(exc)
    return filters, ""


def _cards(
    services: Sequence[str],
    minutes: Iterable[MinuteHealth],
    roles: servicemap.Roles,
    window: TimeWindow,
    happened: Sequence[Marker],
    deploys: Sequence[Deploy],
    named: frozenset[str],
) -> Iterable[views.ServiceCard]:
    by_service: dict[str, list[MinuteHealth]] = {}
    for minute in minutes:
        by_service.setdefault(minute.service, []).append(minute)
    for service in services:
        markers = [*happened, *views.deploy_markers(deploys, [service], named)]
        yield views.card(service, roles.of(service), by_service.get(service, ()), window, markers)


async def minutes_of(
    telemetry: Telemetry, tenant: str, services: Sequence[str], window: TimeWindow
) -> list[MinuteHealth]:
    """Return the minutes of services: their own, or what callers saw of those that send none; raises Unavailable."""
    if not services:
        return []
    own = await telemetry.health(tenant, services, window)
    silent = sorted(set(services) - {m.service for m in own})
    return own + (await telemetry.health_seen_by_callers(tenant, silent, window) if silent else [])


async def edges_compared(telemetry: Telemetry, tenant: str, window: TimeWindow, usual: TimeWindow) -> list[EdgeChange]:
    """Return who called whom over a window, compared with another; raises Unavailable."""
    now, before = await asyncio.gather(telemetry.edges(tenant, window), telemetry.edges(tenant, usual))
    return edgechange.compare(now, before)


async def deploys_in(
    source: Deploys, tenant: str, services: Sequence[str], window: TimeWindow, limit: int = 100,
    kinds: Sequence[deploy_pb2.ChangeKind.ValueType] = CHANGES_WHAT_RUNS, q: str = "",
) -> list[Deploy]:  # fmt: skip
    """Return the deploys that touched a window, newest first; of all services, or kinds, when none are given.

    `q` are words that each must have.
    """
    request = deploy_contract.ListDeploysRequest(
        services=services,
        start_time=decode.timestamp(window.start),
        end_time=decode.timestamp(window.end),
        page_size=limit,
        kinds=kinds,
        q=q,
    )
    return [decode.deploy(d) for d in (await source.list(tenant, request)).deploys]
