"""What correlation_engine needs around it in a test: rollups of a simulated outage, and the two services it asks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1 import deploy_pb2, deploy_service_pb2, deploy_service_pb2_grpc
from incidentscope.incident.v1 import incident_pb2, incident_service_pb2, incident_service_pb2_grpc

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.domain.model import FloatArray, Telemetry
from tests.unit.services.correlation_engine import world

EDGE_COLUMNS = (
    "TenantId", "Minute", "Client", "Server", "ConnectionType", "ServerInstrumented", "Calls", "Errors",
    "ClientDurationSum", "ServerDurationSum", "Unpaired", "Version",
)  # fmt: skip
LATENCY = """
INSERT INTO latency_p95_1m
SELECT TenantId, Minute, ServiceName, SpanKind, quantilesDDState(0.01, 0.5, 0.95, 0.99)(intDiv(DurationSum, Total))
FROM error_rate_1m WHERE TenantId = %(tenant)s AND Total > 0 GROUP BY TenantId, Minute, ServiceName, SpanKind"""


def scenario_now(seed: int, cause: str) -> world.Scenario:
    """Return a simulated outage that began about two minutes ago, with two hours of history."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    return world.simulate(seed, cause, start=minute - timedelta(minutes=world.HISTORY + 2), incident_minutes=1.9)


def insert(clickhouse: ClickHouse, tenant: str, telemetry: Telemetry) -> None:
    """Write telemetry as the consumers would have rolled it up."""
    minutes = [telemetry.grid.instant(i) for i in range(telemetry.grid.length)]

    def rows(head: tuple[Any, ...], tail: tuple[Any, ...], *arrays: FloatArray) -> Iterator[tuple[Any, ...]]:
        for place, minute in enumerate(minutes):
            values = [a[place] for a in arrays]
            if any(np.isfinite(v) and v for v in values):
                yield (tenant, minute, *head, *(int(v) for v in values), *tail)

    requests = [
        r for s in telemetry.services
        for r in rows((s.service, "Server"), (), s.requests, s.errors, s.duration_ms * 1e6)
    ]  # fmt: skip
    clickhouse.insert_rows(
        "error_rate_1m",
        ("TenantId", "Minute", "ServiceName", "SpanKind", "Total", "Errors", "DurationSum"),
        requests,
    )
    clickhouse.execute(LATENCY, {"tenant": tenant})
    edges = [
        r for e in telemetry.edges
        for r in rows((e.client, e.server, e.connection_type, int(e.instrumented)), (1,), e.calls, e.errors,
                      e.client_ms * 1e6, e.server_ms * 1e6, e.unpaired)
    ]  # fmt: skip
    clickhouse.insert_rows("service_edges_1m", EDGE_COLUMNS, edges)
    signatures = [
        (tenant, minutes[i], s.service, s.severity, number, s.signature, s.example, int(n), minutes[i], minutes[i])
        for number, s in enumerate(telemetry.signatures) for i, n in enumerate(s.counts) if n
    ]  # fmt: skip
    clickhouse.insert_rows(
        "log_signatures_1m",
        ("TenantId", "Minute", "ServiceName", "SeverityNumber", "SignatureHash", "Signature", "Example", "Count",
         "FirstSeen", "LastSeen"),
        signatures,
    )  # fmt: skip
    gauges = [
        (tenant, minutes[i], g.service, g.metric, g.unit, float(v), 1, float(v), float(v))
        for g in telemetry.gauges for i, v in enumerate(g.values)
    ]  # fmt: skip
    clickhouse.insert_rows(
        "gauges_1m",
        ("TenantId", "Minute", "ServiceName", "MetricName", "MetricUnit", "ValueSum", "ValueCount", "ValueMin",
         "ValueMax"),
        gauges,
    )  # fmt: skip


def stamp(instant: datetime) -> Timestamp:
    """Return an instant as a protobuf timestamp."""
    value = Timestamp()
    value.FromDatetime(instant)
    return value


@dataclass
class Neighbours(incident_service_pb2_grpc.IncidentServiceServicer, deploy_service_pb2_grpc.DeployServiceServicer):
    """IncidentService and DeployService with fixed answers for one tenant, in pages of one."""

    tenant: str
    incidents: list[incident_pb2.Incident] = field(default_factory=list)
    analyses: dict[str, HypothesesPublished] = field(default_factory=dict)
    deploys: list[deploy_pb2.Deploy] = field(default_factory=list)
    alerts: list[incident_pb2.IncidentAlert] = field(default_factory=list)
    refuse: grpc.StatusCode | None = None

    def _enter(self, context: Any) -> None:
        if self.refuse is not None:
            context.abort(self.refuse, "not now")
        if dict(context.invocation_metadata()).get("x-tenant-id") != self.tenant:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unknown_tenant")

    def ListIncidents(self, request: Any, context: Any) -> Any:
        """Return the incidents of the asked statuses."""
        self._enter(context)
        page, token = _page([i for i in self.incidents if i.status in request.statuses], request.page_token)
        return incident_service_pb2.ListIncidentsResponse(incidents=page, next_page_token=token)

    def GetHypotheses(self, request: Any, context: Any) -> Any:
        """Return the stored analysis of an incident."""
        self._enter(context)
        if request.id not in self.analyses:
            context.abort(grpc.StatusCode.NOT_FOUND, "no analysis yet")
        return incident_service_pb2.GetHypothesesResponse(analysis=self.analyses[request.id])

    def ListIncidentAlerts(self, request: Any, context: Any) -> Any:  # noqa: ARG002  # as gRPC calls it
        """Return the alerts of every incident."""
        self._enter(context)
        return incident_service_pb2.ListIncidentAlertsResponse(alerts=self.alerts)

    def ListDeploys(self, request: Any, context: Any) -> Any:
        """Return the deploys that started in the asked time."""
        self._enter(context)
        start, end = request.start_time.ToDatetime(), request.end_time.ToDatetime()
        kinds = request.kinds
        asked = [d for d in self.deploys if not kinds or (d.kind or deploy_pb2.CHANGE_KIND_DEPLOY) in kinds]
        found = [d for d in asked if start <= d.started_at.ToDatetime() < end]
        page, token = _page(found, request.page_token)
        return deploy_service_pb2.ListDeploysResponse(deploys=page, next_page_token=token)

    def take_deploys(self, scenario: world.Scenario) -> None:
        """Know the deploys of a simulated outage."""
        for change in scenario.telemetry.changes:
            finished = change.finished_at or change.started_at
            self.deploys.append(
                deploy_pb2.Deploy(
                    id=change.id, tenant_id=self.tenant, service=change.service, version=change.version,
                    status=deploy_pb2.DEPLOY_STATUS_SUCCEEDED, started_at=stamp(change.started_at),
                    finished_at=stamp(finished), url=f"https://ci.test/{change.id}",
                )
            )  # fmt: skip

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Serve both on one free loopback port; yields the target."""
        server = grpc.server(futures.ThreadPoolExecutor(4))
        incident_service_pb2_grpc.add_IncidentServiceServicer_to_server(self, server)
        deploy_service_pb2_grpc.add_DeployServiceServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait(5)


def neighbours(tenant: str, **known: Any) -> Neighbours:
    """Return the neighbours of a tenant; they answer only what the engine asks."""
    return Neighbours(tenant, **known)  # type: ignore[abstract]  # the other calls answer UNIMPLEMENTED


def _page(items: list[Any], token: str) -> tuple[list[Any], str]:
    place = int(token or 0)
    return items[place : place + 1], str(place + 1) if place + 1 < len(items) else ""
