"""Services and deploys for people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.console.domain import listing, views, windows
from services.console.domain.edgechange import EdgeChange
from services.console.domain.filters import Filters
from services.console.domain.models import (
    Deploy,
    GaugeMinute,
    Incident,
    LogSignature,
    MinuteHealth,
    ServiceSummary,
)
from services.console.handlers import lists
from services.console.handlers.incidents import deploys_in, edges_compared, minutes_of
from services.console.handlers.parts import Parts
from services.console.ports import Deploys, Incidents, Telemetry

MAX_SIGNATURES = 20
MAX_DEPLOYS = 200
MAX_NAME = 255
USUAL_DEPLOYS = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ServicePages:
    """Puts the pages about services and deploys together."""

    incidents: Incidents
    deploys: Deploys
    telemetry: Telemetry
    clock: Clock

    async def service_list(self, tenant: str, filters: Filters) -> views.ServiceList:
        """Return the services of the last hour; none, with an error, when they cannot be had as asked for."""
        now = self.clock.now()
        window = windows.asked("", "", now)
        try:
            filters.check()
        except InvalidInput as exc:
            return views.ServiceList((), filters, window, now, str(exc))
        parts = Parts()
        nothing: tuple[list[ServiceSummary], list[ServiceSummary]] = ([], [])
        usual = windows.before(window, window.duration)
        reading = asyncio.gather(self.telemetry.services(tenant, window), self.telemetry.services(tenant, usual))
        found, earlier = await parts.take("Services", reading, nothing)
        before = {s.service: s for s in earlier}
        rows = tuple(views.ServiceRow(s, before.get(s.service)) for s in listing.services(found, filters))
        return views.ServiceList(rows, filters, window, now, missing=parts.missing)

    async def page(self, tenant: str, service: str, start: str, end: str) -> views.ServicePage:
        """Return the page of one service over a window; raises InvalidInput for an impossible window or name."""
        if not service.strip() or len(service) > MAX_NAME or not service.isprintable():
            raise InvalidInput("bad_service", f"A service name has 1 to {MAX_NAME} printable characters.")
        now = self.clock.now()
        return await self._filled(tenant, service, windows.asked(start, end, now))

    async def _filled(self, tenant: str, service: str, window: TimeWindow) -> views.ServicePage:
        parts = Parts()
        no_minutes: list[MinuteHealth] = []
        no_edges: list[EdgeChange] = []
        usual = windows.before(window, window.duration)
        no_logs: list[LogSignature] = []
        no_deploys: list[Deploy] = []
        no_gauges: list[GaugeMinute] = []
        no_incidents: list[Incident] = []
        logs = self.telemetry.signatures(tenant, service, window, MAX_SIGNATURES)
        (minutes, edges, signatures), (deploys, gauges, incidents) = await asyncio.gather(
            asyncio.gather(
                parts.take("Charts", minutes_of(self.telemetry, tenant, [service], window), no_minutes),
                parts.take("Callers and callees", edges_compared(self.telemetry, tenant, window, usual), no_edges),
                parts.take("Logs", logs, no_logs),
            ),
            asyncio.gather(
                parts.take("Deploys", deploys_in(self.deploys, tenant, [service], window), no_deploys),
                parts.take("Resources", self.telemetry.gauges(tenant, service, window), no_gauges),
                parts.take("Incidents", lists.of_service(self.incidents, tenant, service), no_incidents),
            ),
        )
        markers = views.deploy_markers(deploys, [service], frozenset())
        return views.ServicePage(
            service=service,
            now=self.clock.now(),
            window=window,
            card=views.card(service, ("plain", ""), minutes, window, markers) if minutes else None,
            load=views.load(minutes, window, markers) if minutes else None,
            callers=tuple(sorted((e for e in edges if e.server == service), key=lambda e: -e.calls)),
            callees=tuple(sorted((e for e in edges if e.client == service), key=lambda e: -e.calls)),
            signatures=tuple(signatures),
            deploys=tuple(deploys),
            resources=views.resources(gauges, window, markers),
            incidents=tuple(incidents),
            missing=parts.missing,
        )

    async def deploy_list(self, tenant: str, filters: Filters) -> views.DeployList:
        """Return the deploys and other changes asked for, of the last week when no time is.

        None, with an error, when they cannot be had as asked for.
        """
        now = self.clock.now()
        try:
            filters.check()
            window = filters.window(now, USUAL_DEPLOYS)
        except InvalidInput as exc:
            usual = TimeWindow(now - USUAL_DEPLOYS, now)
            return views.DeployList((), filters, usual, now, error=str(exc))
        parts = Parts()
        nothing: list[Deploy] = []
        reading = deploys_in(
            self.deploys, tenant, filters.values("service"), window, MAX_DEPLOYS, kinds=(), q=filters.value("q")
        )
        found = await parts.take("Deploys", reading, nothing)
        truncated = len(found) >= MAX_DEPLOYS
        return views.DeployList(tuple(found), filters, window, now, truncated, missing=parts.missing)
