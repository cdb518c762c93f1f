"""gRPC: checks the request, calls the use case of the caller's tenant, maps the outcome onto a status."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import structlog
from incidentscope.correlation.v1 import correlation_events_pb2
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.kernel.clock import Clock
from libs.kernel.errors import IncidentScopeError, InvalidInput, Unavailable
from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import requests as check
from services.incident_service.adapters.encode import entry_message, incident_message
from services.incident_service.domain.model import Reason
from services.incident_service.handlers import Incidents, NotFound, Refused

if TYPE_CHECKING:  # generic only in the stubs
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = grpc.aio.ServicerContext

log = structlog.get_logger()
SERVICE_NAME = "incidentscope.incident.v1.IncidentService"
Request = TypeVar("Request")
Response = TypeVar("Response")
Method = Callable[[Any, Request], Awaitable[Response]]
Rpc = Callable[[Any, Request, Context], Awaitable[Response]]


def status_of(error: IncidentScopeError) -> grpc.StatusCode:
    """Return the gRPC status that tells of an error."""
    if isinstance(error, InvalidInput):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, NotFound):
        return grpc.StatusCode.NOT_FOUND
    if isinstance(error, Refused):
        stale = error.reason is Reason.STALE_VERSION
        return grpc.StatusCode.ABORTED if stale else grpc.StatusCode.FAILED_PRECONDITION
    if isinstance(error, Unavailable):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.INTERNAL


def _rpc(method: Method[Request, Response]) -> Rpc[Request, Response]:
    """Make a method an rpc: our errors become statuses. A cancelled call passes through and is rolled back."""

    @functools.wraps(method)
    async def wrapped(self: Any, request: Request, context: Context) -> Response:
        try:
            return await method(self, request)
        except IncidentScopeError as exc:
            status = status_of(exc)
            if status is grpc.StatusCode.UNAVAILABLE:
                log.warning("call_failed", method=method.__name__, error=str(exc))
            await context.abort(status, str(exc))
            raise AssertionError("abort returned") from exc

    return wrapped


class IncidentServicer(incident_service_pb2_grpc.IncidentServiceServicer):
    """Every method of the contract."""

    def __init__(self, incidents: Incidents, clock: Clock) -> None:
        self._incidents = incidents
        self._clock = clock

    @_rpc
    async def OpenIncident(self, request: rpc.OpenIncidentRequest) -> rpc.OpenIncidentResponse:
        """Open an incident by hand."""
        new = check.new_incident(request, self._clock.now())
        incident = await self._incidents.open(current_tenant(), new)
        return rpc.OpenIncidentResponse(incident=incident_message(incident))

    @_rpc
    async def GetIncident(self, request: rpc.GetIncidentRequest) -> rpc.GetIncidentResponse:
        """Return one incident."""
        incident = await self._incidents.get(current_tenant(), check.incident_id(request.id))
        return rpc.GetIncidentResponse(incident=incident_message(incident))

    @_rpc
    async def ListIncidents(self, request: rpc.ListIncidentsRequest) -> rpc.ListIncidentsResponse:
        """List incidents, newest first."""
        statuses = check.statuses(request.statuses)
        size = check.page_size(request.page_size, most=500, usual=50)
        scope = "incidents " + ",".join(statuses)
        older_than = check.incident_position(scope, request.page_token)
        found = await self._incidents.newest(current_tenant(), statuses, size + 1, older_than)
        token = check.page_token(scope, found[size - 1].id) if len(found) > size else ""
        return rpc.ListIncidentsResponse(incidents=[incident_message(i) for i in found[:size]], next_page_token=token)

    @_rpc
    async def AcknowledgeIncident(self, request: rpc.AcknowledgeIncidentRequest) -> rpc.AcknowledgeIncidentResponse:
        """Take an incident."""
        incident = await self._incidents.acknowledge(
            current_tenant(),
            check.incident_id(request.id),
            check.text("actor", request.actor, check.NAME_CHARS),
            check.expected_version(request.expected_version),
        )
        return rpc.AcknowledgeIncidentResponse(incident=incident_message(incident))

    @_rpc
    async def ResolveIncident(self, request: rpc.ResolveIncidentRequest) -> rpc.ResolveIncidentResponse:
        """End an incident."""
        incident = await self._incidents.resolve(
            current_tenant(),
            check.incident_id(request.id),
            check.text("actor", request.actor, check.NAME_CHARS),
            check.text("resolution", request.resolution, check.TEXT_CHARS, required=False),
            check.expected_version(request.expected_version),
        )
        return rpc.ResolveIncidentResponse(incident=incident_message(incident))

    @_rpc
    async def AddNote(self, request: rpc.AddNoteRequest) -> rpc.AddNoteResponse:
        """Write a note on the timeline."""
        incident_id = check.incident_id(request.id)
        actor = check.text("actor", request.actor, check.NAME_CHARS)
        note = check.text("text", request.text, check.TEXT_CHARS)
        entry = await self._incidents.add_note(current_tenant(), incident_id, actor, note)
        return rpc.AddNoteResponse(entry=entry_message(incident_id, entry))

    @_rpc
    async def ListTimeline(self, request: rpc.ListTimelineRequest) -> rpc.ListTimelineResponse:
        """List the timeline, oldest first."""
        incident_id = check.incident_id(request.id)
        size = check.page_size(request.page_size, most=1000, usual=200)
        scope = f"timeline {incident_id}"
        after = check.number_position(scope, request.page_token)
        found = await self._incidents.timeline(current_tenant(), incident_id, size + 1, after)
        token = check.page_token(scope, str(found[size - 1].number)) if len(found) > size else ""
        entries = [entry_message(incident_id, numbered.entry) for numbered in found[:size]]
        return rpc.ListTimelineResponse(entries=entries, next_page_token=token)

    @_rpc
    async def GetHypotheses(self, request: rpc.GetHypothesesRequest) -> rpc.GetHypothesesResponse:
        """Return the latest analysis."""
        encoded = await self._incidents.analysis(current_tenant(), check.incident_id(request.id))
        analysis = correlation_events_pb2.HypothesesPublished.FromString(encoded)
        return rpc.GetHypothesesResponse(analysis=analysis)
