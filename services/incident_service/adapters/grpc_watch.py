"""gRPC: watches. First the state as it is, then every change as it commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import requests as check
from services.incident_service.adapters import requests_listing
from services.incident_service.adapters.encode import SEVERITIES, STATUSES, incident_message
from services.incident_service.adapters.grpc_calls import Context, SlowReader, answering
from services.incident_service.domain.listing import Listing, Place
from services.incident_service.domain.model import Incident, Status
from services.incident_service.handlers.incidents import Incidents
from services.incident_service.handlers.watch import ReadsTooSlowly, Told, Watches

if TYPE_CHECKING:
    Base = incident_service_pb2_grpc.IncidentServiceServicer
else:
    Base = object
_PAGE = 500
_NOT_PUT_AWAY = tuple(s for s in Status if s is not Status.CLOSED)
MOVES = frozenset(
    f"Incident{verb}" for verb in ("Opened", "Acknowledged", "Mitigated", "Resolved", "Closed", "Reopened", "Merged")
)  # events of changes that each make a version


class WatchRpcs(Base):
    """The rpcs that stream."""

    incidents: Incidents
    watches: Watches

    async def WatchIncident(
        self, request: rpc.WatchIncidentRequest, context: Context
    ) -> AsyncIterator[rpc.WatchIncidentResponse]:
        """Watch one incident."""
        async with answering(context, "WatchIncident"):
            incident_id, tenant = check.incident_id(request.id), current_tenant()
            async with self.watches.watch(tenant) as changes:
                incident = await self.incidents.get(tenant, incident_id)
                yield rpc.WatchIncidentResponse(incident=incident_message(incident))
                async for change in newer(changes, {incident_id: incident.version}):
                    if change.incident_id == incident_id:
                        yield rpc.WatchIncidentResponse(**told(change))

    async def WatchIncidents(
        self, request: rpc.WatchIncidentsRequest, context: Context
    ) -> AsyncIterator[rpc.WatchIncidentsResponse]:
        """Watch all incidents, or those of some statuses, services or severities."""
        async with answering(context, "WatchIncidents"):
            wanted, tenant = watched(request), current_tenant()
            async with self.watches.watch(tenant) as changes:
                known: dict[str, int] = {}
                async for incident in self._present(tenant, wanted):
                    known[incident.id] = incident.version
                    yield rpc.WatchIncidentsResponse(incident=incident_message(incident))
                async for change in newer(changes, known):
                    if admits(wanted, change.event.incident):
                        yield rpc.WatchIncidentsResponse(**told(change))

    async def _present(self, tenant: str, wanted: Listing) -> AsyncIterator[Incident]:
        going_on = wanted if wanted.statuses else replace(wanted, statuses=_NOT_PUT_AWAY)
        after: Place | None = None
        while True:
            page = await self.incidents.listed(tenant, going_on, _PAGE, after)
            for incident in page:
                yield incident
            if len(page) < _PAGE:
                return
            after = going_on.place_of(page[-1])


def watched(request: rpc.WatchIncidentsRequest) -> Listing:
    """Return which incidents a WatchIncidentsRequest asks for; raises InvalidInput naming the field."""
    return Listing(
        statuses=tuple(check.statuses(request.statuses)),
        severities=requests_listing.severities(request.severities),
        services=requests_listing.services(request.services),
    )


def admits(wanted: Listing, incident: pb.Incident) -> bool:
    """Tell whether an incident, as an event has it, is one of those asked for."""
    return (
        (not wanted.statuses or incident.status in {STATUSES[s] for s in wanted.statuses})
        and (not wanted.severities or incident.severity in {SEVERITIES[s] for s in wanted.severities})
        and (not wanted.services or not set(wanted.services).isdisjoint(incident.services))
    )


async def newer(changes: AsyncIterator[Told], known: dict[str, int]) -> AsyncIterator[Told]:
    """Yield changes that the state a watcher was given does not hold; raises SlowReader.

    A note, which leaves the version as it is, may be told again when it was written as the watch began.
    """
    try:
        async for change in changes:
            before = known.get(change.incident_id, 0)
            if change.version > before or (change.version == before and change.kind not in MOVES):
                known[change.incident_id] = change.version
                yield change
    except ReadsTooSlowly as exc:
        raise SlowReader(str(exc)) from exc


def told(change: Told) -> dict[str, Any]:
    """Return a change as fields of an answer."""
    entry = getattr(change.event, "entry", None)
    return {"incident": change.event.incident, "event": change.kind, **({"entry": entry} if entry else {})}
