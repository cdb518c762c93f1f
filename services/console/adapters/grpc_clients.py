"""The incident and deploy services over gRPC. Every call carries the tenant and a deadline."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

import grpc
from google.protobuf.message import Message
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy
from incidentscope.deploy.v1.deploy_service_pb2_grpc import DeployServiceStub
from incidentscope.incident.v1 import incident_service_pb2 as incident
from incidentscope.incident.v1.incident_service_pb2_grpc import IncidentServiceStub

from libs.access.credentials import Metadata, by_header
from libs.kernel.errors import Unavailable
from services.console.ports import R, RefusalReason, Refused

_NOT_NOW = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


class _Caller:
    """Calls one service for a tenant and turns its errors into ours."""

    def __init__(self, name: str, timeout_s: float, metadata: Callable[[str], Metadata]) -> None:
        self._name = name
        self._metadata = metadata
        self._timeout_s = timeout_s

    async def __call__(self, method: Any, tenant: str, request: Message, *more: tuple[str, str]) -> Any:
        try:
            metadata = (*self._metadata(tenant), *more)
            return await method(request, timeout=self._timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as exc:
            raise self._error(exc) from exc

    async def stream(self, method: Any, tenant: str, request: Message) -> AsyncGenerator[Any, None]:
        """Yield the answers of a stream, which has no deadline but ends with its reader."""
        call = method(request, metadata=self._metadata(tenant))
        try:
            async for message in call:
                yield message
        except grpc.aio.AioRpcError as exc:
            raise self._error(exc) from exc
        finally:
            call.cancel()

    def _error(self, error: grpc.aio.AioRpcError) -> Refused | Unavailable:
        code, details = error.code(), error.details() or ""
        if code in _NOT_NOW:
            return Unavailable(f"The {self._name} does not answer.")
        if code.name in RefusalReason.__members__:
            return Refused(RefusalReason[code.name], details or f"The {self._name} refused ({code.name}).")
        return Refused(RefusalReason.INTERNAL, f"The {self._name} failed ({code.name}).")


class GrpcIncidents:
    """The incident service at a gRPC target such as `127.0.0.1:50051`; implements ports.Incidents."""

    def __init__(self, target: str, timeout_s: float, metadata: Callable[[str], Metadata] = by_header) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._stub: Any = IncidentServiceStub(self._channel)
        self._call = _Caller("incident service", timeout_s, metadata)

    async def call(self, tenant: str, request: Message, answer: type[R], idempotency_key: str = "") -> R:
        """Call the rpc a request message belongs to."""
        more = [("idempotency-key", idempotency_key)] if idempotency_key else []
        found = await self._call(self._method(request), tenant, request, *more)
        if not isinstance(found, answer):
            raise TypeError(f"{request.DESCRIPTOR.name} is answered by {type(found).__name__}, not {answer.__name__}")
        return found

    def watch(self, tenant: str, request: Message) -> AsyncGenerator[Message, None]:
        """Yield the answers of the streaming rpc a request message belongs to."""
        return self._call.stream(self._method(request), tenant, request)

    def _method(self, request: Message) -> Any:
        return getattr(self._stub, request.DESCRIPTOR.name.removesuffix("Request"))

    async def open(self, tenant: str, request: incident.OpenIncidentRequest) -> incident.OpenIncidentResponse:
        """Open an incident by hand."""
        answer: incident.OpenIncidentResponse = await self._call(self._stub.OpenIncident, tenant, request)
        return answer

    async def get(self, tenant: str, request: incident.GetIncidentRequest) -> incident.GetIncidentResponse:
        """Return one incident."""
        answer: incident.GetIncidentResponse = await self._call(self._stub.GetIncident, tenant, request)
        return answer

    async def list(self, tenant: str, request: incident.ListIncidentsRequest) -> incident.ListIncidentsResponse:
        """List incidents, newest first."""
        answer: incident.ListIncidentsResponse = await self._call(self._stub.ListIncidents, tenant, request)
        return answer

    async def acknowledge(
        self, tenant: str, request: incident.AcknowledgeIncidentRequest
    ) -> incident.AcknowledgeIncidentResponse:
        """Take an incident."""
        answer: incident.AcknowledgeIncidentResponse = await self._call(self._stub.AcknowledgeIncident, tenant, request)
        return answer

    async def resolve(self, tenant: str, request: incident.ResolveIncidentRequest) -> incident.ResolveIncidentResponse:
        """End an incident."""
        answer: incident.ResolveIncidentResponse = await self._call(self._stub.ResolveIncident, tenant, request)
        return answer

    async def add_note(self, tenant: str, request: incident.AddNoteRequest) -> incident.AddNoteResponse:
        """Write a note on the timeline."""
        answer: incident.AddNoteResponse = await self._call(self._stub.AddNote, tenant, request)
        return answer

    async def timeline(self, tenant: str, request: incident.ListTimelineRequest) -> incident.ListTimelineResponse:
        """List the timeline, oldest first."""
        answer: incident.ListTimelineResponse = await self._call(self._stub.ListTimeline, tenant, request)
        return answer

    async def hypotheses(self, tenant: str, request: incident.GetHypothesesRequest) -> incident.GetHypothesesResponse:
        """Return the latest analysis."""
        answer: incident.GetHypothesesResponse = await self._call(self._stub.GetHypotheses, tenant, request)
        return answer

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(grace=None)


class GrpcDeploys:
    """The deploy service at a gRPC target; implements ports.Deploys."""

    def __init__(self, target: str, timeout_s: float, metadata: Callable[[str], Metadata] = by_header) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._stub: Any = DeployServiceStub(self._channel)
        self._call = _Caller("deploy service", timeout_s, metadata)

    async def list(self, tenant: str, request: deploy.ListDeploysRequest) -> deploy.ListDeploysResponse:
        """List deploys that touched a window, newest first."""
        answer: deploy.ListDeploysResponse = await self._call(self._stub.ListDeploys, tenant, request)
        return answer

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close(grace=None)
