"""What the pages need from the outside. Requests and answers of other services are their published contracts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from enum import Enum
from typing import Protocol, TypeVar

from google.protobuf.message import Message
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy
from incidentscope.incident.v1 import incident_service_pb2 as incident

from libs.kernel.errors import IncidentScopeError
from libs.kernel.timewindow import TimeWindow
from services.console.domain.models import Edge, GaugeMinute, LogSignature, MinuteHealth, ServiceSummary

R = TypeVar("R", bound=Message)


class RefusalReason(Enum):
    """Why another service said no; names are those of gRPC's status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"


class Refused(IncidentScopeError):
    """Another service answered with a no; the same call will get the same answer until something changes."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Incidents(Protocol):
    """The incident service. Every call raises Refused, or Unavailable when there is no answer in time."""

    async def call(self, tenant: str, request: Message, answer: type[R], idempotency_key: str = "") -> R:
        """Call the rpc a request message belongs to and return its response, a message of type `answer`."""
        ...

    def watch(self, tenant: str, request: Message) -> AsyncGenerator[Message, None]:
        """Yield the answers of the streaming rpc a request message belongs to."""
        ...

    async def open(self, tenant: str, request: incident.OpenIncidentRequest) -> incident.OpenIncidentResponse:
        """Open an incident by hand."""
        ...

    async def get(self, tenant: str, request: incident.GetIncidentRequest) -> incident.GetIncidentResponse:
        """Return one incident."""
        ...

    async def list(self, tenant: str, request: incident.ListIncidentsRequest) -> incident.ListIncidentsResponse:
        """List incidents, newest first."""
        ...

    async def acknowledge(
        self, tenant: str, request: incident.AcknowledgeIncidentRequest
    ) -> incident.AcknowledgeIncidentResponse:
        """Take an incident."""
        ...

    async def resolve(self, tenant: str, request: incident.ResolveIncidentRequest) -> incident.ResolveIncidentResponse:
        """End an incident."""
        ...

    async def add_note(self, tenant: str, request: incident.AddNoteRequest) -> incident.AddNoteResponse:
        """Write a note on the timeline."""
        ...

    async def timeline(self, tenant: str, request: incident.ListTimelineRequest) -> incident.ListTimelineResponse:
        """List the timeline, oldest first."""
        ...

    async def hypotheses(self, tenant: str, request: incident.GetHypothesesRequest) -> incident.GetHypothesesResponse:
        """Return the latest analysis; Refused with NOT_FOUND before the first."""
        ...


class Deploys(Protocol):
    """The deploy service; raises as Incidents does."""

    async def list(self, tenant: str, request: deploy.ListDeploysRequest) -> deploy.ListDeploysResponse:
        """List deploys that touched a window, newest first."""
        ...


class Telemetry(Protocol):
    """The one-minute rollups. Every call raises Unavailable when they cannot be read now."""

    async def health(self, tenant: str, services: Sequence[str], window: TimeWindow) -> list[MinuteHealth]:
        """Return the minutes of services as their own spans tell them, in order of time."""
        ...

    async def health_seen_by_callers(
        self, tenant: str, services: Sequence[str], window: TimeWindow
    ) -> list[MinuteHealth]:
        """Return the minutes of services as their callers saw them, for those that send no telemetry."""
        ...

    async def edges(self, tenant: str, window: TimeWindow) -> list[Edge]:
        """Return who called whom over a window, and in how many of its minutes the caller was heard."""
        ...

    async def signatures(self, tenant: str, service: str, window: TimeWindow, limit: int) -> list[LogSignature]:
        """Return a service's most frequent log shapes, worst severity first."""
        ...

    async def gauges(self, tenant: str, service: str, window: TimeWindow) -> list[GaugeMinute]:
        """Return how much a service used of its resources, utilization first, each in order of time."""
        ...

    async def services(self, tenant: str, window: TimeWindow) -> list[ServiceSummary]:
        """Return every service with calls in a window, by name."""
        ...
