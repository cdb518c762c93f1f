"""gRPC: incidents opened, moved, merged, changed and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message
from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.kernel.clock import Clock
from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import requests as check
from services.incident_service.adapters import requests_listing
from services.incident_service.adapters.encode import PRIORITIES, ROLES, entry_message, incident_message
from services.incident_service.adapters.grpc_calls import reading, writing
from services.incident_service.domain import lifecycle, response
from services.incident_service.domain.lifecycle import Move
from services.incident_service.domain.model import TITLE_CHARS
from services.incident_service.handlers.incidents import Incidents
from services.incident_service.handlers.writes import Decide, Writes
from services.incident_service.ports import Transaction

if TYPE_CHECKING:
    Base = incident_service_pb2_grpc.IncidentServiceServicer
else:
    Base = object
SUMMARY_CHARS = 4000


class LifecycleRpcs(Base):
    """The rpcs around an incident's status and what is known about it."""

    writes: Writes
    incidents: Incidents
    clock: Clock

    @writing(rpc.OpenIncidentResponse)
    async def OpenIncident(self, request: rpc.OpenIncidentRequest, tx: Transaction) -> rpc.OpenIncidentResponse:
        """Open an incident by hand."""
        new = check.new_incident(request, self.clock.now())
        incident = await self.incidents.open(tx, current_tenant(), new)
        return rpc.OpenIncidentResponse(incident=incident_message(incident))

    @reading
    async def GetIncident(self, request: rpc.GetIncidentRequest) -> rpc.GetIncidentResponse:
        """Return one incident."""
        mask = check.read_mask(request.read_mask, pb.Incident)
        incident = await self.incidents.get(current_tenant(), check.incident_id(request.id))
        return rpc.GetIncidentResponse(incident=check.masked(mask, incident_message(incident)))

    @reading
    async def ListIncidents(self, request: rpc.ListIncidentsRequest) -> rpc.ListIncidentsResponse:
        """List the incidents asked for."""
        mask = check.read_mask(request.read_mask, pb.Incident)
        wanted = requests_listing.listing(request)
        size = check.page_size(request.page_size, most=500, usual=50)
        after = requests_listing.place(wanted, request.page_token)
        found = await self.incidents.listed(current_tenant(), wanted, size + 1, after)
        more = len(found) > size
        token = requests_listing.token(wanted, wanted.place_of(found[size - 1])) if more else ""
        listed = [check.masked(mask, incident_message(i)) for i in found[:size]]
        return rpc.ListIncidentsResponse(incidents=listed, next_page_token=token)

    @writing(rpc.AcknowledgeIncidentResponse)
    async def AcknowledgeIncident(
        self, request: rpc.AcknowledgeIncidentRequest, tx: Transaction
    ) -> rpc.AcknowledgeIncidentResponse:
        """Take an incident."""
        wanted = move(request)
        incident = await self._moved(tx, request.id, lambda i, now: lifecycle.acknowledge(i, wanted, now))
        return rpc.AcknowledgeIncidentResponse(incident=incident)

    @writing(rpc.MitigateIncidentResponse)
    async def MitigateIncident(
        self, request: rpc.MitigateIncidentRequest, tx: Transaction
    ) -> rpc.MitigateIncidentResponse:
        """Record that users are well again."""
        wanted = move(request, "mitigation")
        incident = await self._moved(tx, request.id, lambda i, now: lifecycle.mitigate(i, wanted, now))
        return rpc.MitigateIncidentResponse(incident=incident)

    @writing(rpc.ResolveIncidentResponse)
    async def ResolveIncident(
        self, request: rpc.ResolveIncidentRequest, tx: Transaction
    ) -> rpc.ResolveIncidentResponse:
        """End an incident."""
        wanted = move(request, "resolution")
        incident = await self._moved(tx, request.id, lambda i, now: lifecycle.resolve(i, wanted, now))
        return rpc.ResolveIncidentResponse(incident=incident)

    @writing(rpc.CloseIncidentResponse)
    async def CloseIncident(self, request: rpc.CloseIncidentRequest, tx: Transaction) -> rpc.CloseIncidentResponse:
        """Put a resolved incident away."""
        wanted = move(request)
        incident = await self._moved(tx, request.id, lambda i, now: lifecycle.close(i, wanted, now))
        return rpc.CloseIncidentResponse(incident=incident)

    @writing(rpc.ReopenIncidentResponse)
    async def ReopenIncident(self, request: rpc.ReopenIncidentRequest, tx: Transaction) -> rpc.ReopenIncidentResponse:
        """Go on with an incident that seemed over."""
        wanted = move(request, "reason", required=True)
        incident = await self.incidents.reopen(tx, check.incident_id(request.id), wanted)
        return rpc.ReopenIncidentResponse(incident=incident_message(incident))

    @writing(rpc.MergeIncidentResponse)
    async def MergeIncident(self, request: rpc.MergeIncidentRequest, tx: Transaction) -> rpc.MergeIncidentResponse:
        """Close an incident that is part of another."""
        source, target = check.incident_id(request.id), check.incident_id(request.into_id, "into_id")
        closed, grown = await self.incidents.merge(tx, source, target, move(request))
        return rpc.MergeIncidentResponse(incident=incident_message(closed), into=incident_message(grown))

    @writing(rpc.UpdateIncidentResponse)
    async def UpdateIncident(self, request: rpc.UpdateIncidentRequest, tx: Transaction) -> rpc.UpdateIncidentResponse:
        """Change what is known about an incident."""
        names = check.paths(request.update_mask, CHANGEABLE)
        values = {name: known(name, request.incident) for name in names}
        actor, version = check.actor(request.actor), check.expected_version(request.expected_version)
        incident = await self._moved(tx, request.id, lambda i, now: response.update(i, values, actor, version, now))
        return rpc.UpdateIncidentResponse(incident=incident)

    @writing(rpc.AssignRoleResponse)
    async def AssignRole(self, request: rpc.AssignRoleRequest, tx: Transaction) -> rpc.AssignRoleResponse:
        """Give a role to a person, or take it back."""
        wanted = response.Handover(
            check.one_of("role", request.role, ROLES),
            check.text("person", request.person, check.NAME_CHARS, required=False),
            check.actor(request.actor),
            check.expected_version(request.expected_version),
        )
        incident = await self._moved(tx, request.id, lambda i, now: response.assign_role(i, wanted, now))
        return rpc.AssignRoleResponse(incident=incident)

    @reading
    async def ListTimeline(self, request: rpc.ListTimelineRequest) -> rpc.ListTimelineResponse:
        """List the timeline, oldest first."""
        incident_id = check.incident_id(request.id)
        size = check.page_size(request.page_size, most=1000, usual=200)
        scope = f"timeline {incident_id}"
        after = check.number_position(scope, request.page_token)
        found = await self.incidents.timeline(current_tenant(), incident_id, size + 1, after)
        token = check.page_token(scope, str(found[size - 1].number)) if len(found) > size else ""
        entries = [entry_message(incident_id, numbered.entry) for numbered in found[:size]]
        return rpc.ListTimelineResponse(entries=entries, next_page_token=token)

    async def _moved(self, tx: Transaction, incident_id: str, decide: Decide) -> pb.Incident:
        changed = await self.writes.change(tx, check.incident_id(incident_id), decide)
        return incident_message(changed.incident)


def move(request: Message, said: str = "", required: bool = False) -> Move:
    """Return who moves an incident, why (in the field `said`) and from which version; raises InvalidInput."""
    fields: Any = request
    why = check.text(said, getattr(fields, said), check.TEXT_CHARS, required) if said else ""
    return Move(check.actor(fields.actor), why, check.expected_version(fields.expected_version))


def known(name: str, incident: pb.Incident) -> Any:
    """Return the new value of a field that can be changed; raises InvalidInput."""
    return _KNOWN[name](incident)


_KNOWN: Mapping[str, Callable[[pb.Incident], Any]] = {
    "title": lambda i: check.text("title", i.title, TITLE_CHARS),
    "summary": lambda i: check.text("summary", i.summary, SUMMARY_CHARS, required=False),
    "severity": lambda i: check.severity(i.severity),
    "priority": lambda i: check.one_of("priority", i.priority, PRIORITIES),
    "services": lambda i: tuple(check.services(i.services)),
    "bridge_url": lambda i: check.url("bridge_url", i.bridge_url, required=False),
    "public": lambda i: i.public,
    "public_title": lambda i: check.text("public_title", i.public_title, TITLE_CHARS, required=False),
}
CHANGEABLE = tuple(_KNOWN)
