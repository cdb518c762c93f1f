"""IncidentService and DeployService over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

import grpc
import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1 import deploy_pb2, deploy_service_pb2, deploy_service_pb2_grpc
from incidentscope.incident.v1 import incident_pb2, incident_service_pb2, incident_service_pb2_grpc

from libs.access.credentials import by_header
from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.domain import environments
from services.correlation_engine.domain.model import Change
from services.correlation_engine.domain.schedule import OpenIncident
from services.correlation_engine.handlers import open_incident

log = structlog.get_logger()
TIMEOUT_SECONDS = 5.0
PAGE = 500
MAX_PAGES = 20
RAN = frozenset(
    {deploy_pb2.DEPLOY_STATUS_IN_PROGRESS, deploy_pb2.DEPLOY_STATUS_SUCCEEDED, deploy_pb2.DEPLOY_STATUS_FAILED}
)
CHANGES_WHAT_RUNS = (deploy_pb2.CHANGE_KIND_DEPLOY, deploy_pb2.CHANGE_KIND_CONFIGURATION)
REVISION_CHARS = 12
AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED})
Answer = TypeVar("Answer")
Metadata = Callable[[str], tuple[tuple[str, str], ...]]  # the credentials of a call for a tenant


async def _ask(what: str, call: Awaitable[Answer]) -> Answer:
    """Return the answer to a call; raises Unavailable when the server is away, InvalidInput when it refuses."""
    try:
        return await call
    except grpc.aio.AioRpcError as exc:
        if exc.code() in AWAY:
            raise Unavailable(f"{what} does not answer: {exc.details()}") from exc
        raise InvalidInput("refused", f"{what} refuses ({exc.code().name}): {exc.details()}") from exc


def _timestamp(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


class GrpcDeploys:
    """Implements ports.Deploys."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata = by_header) -> None:
        self._metadata = metadata
        self._stub = deploy_service_pb2_grpc.DeployServiceStub(channel)

    async def between(self, tenant: str, start: datetime, end: datetime) -> tuple[Change, ...]:
        """Return the deploys and configuration changes that took effect in a time, newest first; raises Unavailable.

        Pushes, releases, CI outcomes and previews alter nothing that runs and are not asked for.
        """
        request = deploy_service_pb2.ListDeploysRequest(
            start_time=_timestamp(start), end_time=_timestamp(end), page_size=PAGE, kinds=CHANGES_WHAT_RUNS
        )
        found: list[Change] = []
        for _ in range(MAX_PAGES):
            call = self._stub.ListDeploys(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(tenant))
            page = await _ask("deploy_normalizer", call)
            found += [_change(deploy) for deploy in page.deploys if _ran(deploy)]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return tuple(found)


def _ran(deploy: deploy_pb2.Deploy) -> bool:
    """Tell whether it altered what runs; one superseded since did when its movement is known, else it was skipped."""
    superseded = deploy.status == deploy_pb2.DEPLOY_STATUS_INACTIVE
    return deploy.status in RAN or (superseded and deploy.movement != deploy_pb2.DEPLOY_MOVEMENT_UNSPECIFIED)


def _change(deploy: deploy_pb2.Deploy) -> Change:
    finished = deploy.finished_at.ToDatetime(tzinfo=UTC) if deploy.HasField("finished_at") else None
    return Change(
        id=deploy.id,
        service=deploy.service,
        version=deploy.version or deploy.revision[:REVISION_CHARS],
        started_at=deploy.started_at.ToDatetime(tzinfo=UTC),
        finished_at=finished,
        url=deploy.url,
        description=deploy.description,
        environment=deploy.environment,
    )


class GrpcIncidents:
    """Implements ports.Incidents."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata = by_header) -> None:
        self._metadata = metadata
        self._stub = incident_service_pb2_grpc.IncidentServiceStub(channel)

    async def open(self, tenant: str) -> list[OpenIncident]:
        """Return a tenant's incidents that are not resolved; raises Unavailable, or InvalidInput when refused."""
        request = incident_service_pb2.ListIncidentsRequest(
            statuses=[incident_pb2.INCIDENT_STATUS_OPEN, incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED], page_size=PAGE
        )
        found: list[OpenIncident] = []
        for _ in range(MAX_PAGES):
            call = self._stub.ListIncidents(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(tenant))
            page = await _ask("incident_service", call)
            found += _readable(page.incidents)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        return found

    async def latest(self, incident: OpenIncident) -> HypothesesPublished | None:
        """Return the analysis stored last, None before the first; raises Unavailable."""
        request = incident_service_pb2.GetHypothesesRequest(id=incident.id)
        call = self._stub.GetHypotheses(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(incident.tenant))
        try:
            answer = await call
        except grpc.aio.AioRpcError as exc:
            if exc.code() is grpc.StatusCode.NOT_FOUND:
                return None
            raise Unavailable(f"incident_service does not answer: {exc.code().name} {exc.details()}") from exc
        return answer.analysis

    async def environments(self, incident: OpenIncident) -> tuple[str, ...]:
        """Return the environments that its alerts name; raises Unavailable, or InvalidInput when refused."""
        request = incident_service_pb2.ListIncidentAlertsRequest(id=incident.id)
        call = self._stub.ListIncidentAlerts(request, timeout=TIMEOUT_SECONDS, metadata=self._metadata(incident.tenant))
        answer = await _ask("incident_service", call)
        going_on = [alert for alert in answer.alerts if not alert.HasField("ended_at")]
        return environments.of_labels(alert.labels for alert in going_on or answer.alerts)


def _readable(incidents: Iterable[incident_pb2.Incident]) -> list[OpenIncident]:
    found = []
    for incident in incidents:
        try:
            found.append(open_incident(incident))
        except InvalidInput as exc:  # it holds none of the others up
            log.error("incident_unreadable", tenant=incident.tenant_id, incident=incident.id, error=str(exc))
    return found
