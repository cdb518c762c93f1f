"""Services and deploys for people."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.console.domain import views, windows
from services.console.domain.edgechange import EdgeChange
from services.console.domain.models import Deploy, GaugeMinute, LogSignature, MinuteHealth, ServiceSummary
from services.console.handlers.incidents import deploys_in, edges_compared, minutes_of
from services.console.handlers.parts import Parts
from services.console.ports import Deploys, Telemetry

MAX_SIGNATURES = 20
MAX_DEPLOYS = 200
MAX_NAME = 255
DEPLOY_DAYS = 7


@dataclass(frozen=True, slots=True)
class ServicePages:
    """Puts the pages about services and deploys together."""

    deploys: Deploys
    telemetry: Telemetry
    clock: Clock

    async def service_list(self, tenant: str) -> views.ServiceList:
        """Return every service of the last hour."""
        now = self.clock.now()
        window = windows.asked("", "", now)
        parts = Parts()
        nothing: list[ServiceSummary] = []
        found = await parts.take("Services", self.telemetry.services(tenant, window), nothing)
        worst_first = sorted(found, key=lambda s: (-s.error_ratio, s.service))
        return views.ServiceList(tuple(worst_first), window, now, parts.missing)

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
        logs = self.telemetry.signatures(tenant, service, window, MAX_SIGNATURES)
        minutes, edges, signatures, deploys, gauges = await asyncio.gather(
            parts.take("Charts", minutes_of(self.telemetry, tenant, [service], window), no_minutes),
            parts.take("Callers and callees", edges_compared(self.telemetry, tenant, window, usual), no_edges),
            parts.take("Logs", logs, no_logs),
            parts.take("Deploys", deploys_in(self.deploys, tenant, [service], window), no_deploys),
            parts.take("Resources", self.telemetry.gauges(tenant, service, window), no_gauges),
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
            missing=parts.missing,
        )

    async def deploy_list(self, tenant: str) -> views.DeployList:
        """Return the deploys and other changes of the last week."""
        now = self.clock.now()
        window = TimeWindow(now - timedelta(days=DEPLOY_DAYS), now + timedelta(minutes=1))
        parts = Parts()
        nothing: list[Deploy] = []
        found = await parts.take(
            "Deploys", deploys_in(self.deploys, tenant, (), window, MAX_DEPLOYS, kinds=()), nothing
        )
        return views.DeployList(tuple(found), window, now, len(found) >= MAX_DEPLOYS, parts.missing)
