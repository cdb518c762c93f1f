"""The doors of the suite as an outsider uses them: OTLP, a GitHub webhook, the incident API and ClickHouse."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import httpx
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1 import incident_pb2, incident_service_pb2, incident_service_pb2_grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from libs.storage.clickhouse import ClickHouse
from scripts.demo.scenario import Deployment

CALL_SECONDS = 30.0
ORGANISATION = "shop"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the doors are, and the keys to them."""

    otlp_grpc: str
    otlp_http_url: str
    deploy_webhook_url: str
    incidents_grpc: str
    clickhouse_url: str
    github_secret: str
    tenant: str
    api_key: str


class Otlp:
    """Sends traces and metrics over gRPC, logs over HTTP with gzip, so that both doors are used."""

    def __init__(self, addresses: Addresses) -> None:
        self._channel = grpc.insecure_channel(addresses.otlp_grpc)
        self._traces = TraceServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated without types
        self._metrics = MetricsServiceStub(self._channel)  # type: ignore[no-untyped-call]  # as above
        self._metadata = (("x-api-key", addresses.api_key),)
        headers = {
            "x-api-key": addresses.api_key,
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
        }
        self._http = httpx.Client(
            base_url=addresses.otlp_http_url, headers=headers, timeout=CALL_SECONDS, trust_env=False
        )

    def send(
        self, traces: ExportTraceServiceRequest, logs: ExportLogsServiceRequest, metrics: ExportMetricsServiceRequest
    ) -> None:
        """Send the three requests; raises grpc.RpcError or httpx.HTTPError when one is not accepted."""
        self._traces.Export(traces, timeout=CALL_SECONDS, metadata=self._metadata)
        self._metrics.Export(metrics, timeout=CALL_SECONDS, metadata=self._metadata)
        body = gzip.compress(logs.SerializeToString(), compresslevel=1)
        self._http.post("/v1/logs", content=body).raise_for_status()

    def close(self) -> None:
        """Close both connections."""
        self._channel.close()
        self._http.close()


class GitHub:
    """Plays GitHub: a signed `deployment_status` delivery."""

    def __init__(self, addresses: Addresses) -> None:
        self._url = f"{addresses.deploy_webhook_url}/webhooks/{addresses.tenant}/github"
        self._secret = addresses.github_secret.encode()

    def report(self, deployment: Deployment) -> None:
        """Deliver one successful deployment; raises httpx.HTTPError when it is not accepted."""
        body = json.dumps(deployment_status(deployment)).encode()
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "user-agent": "GitHub-Hookshot/demo",
            "x-github-event": "deployment_status",
            "x-github-delivery": str(uuid.uuid4()),
            "x-hub-signature-256": f"sha256={signature}",
        }
        httpx.post(self._url, content=body, headers=headers, timeout=CALL_SECONDS, trust_env=False).raise_for_status()


def deployment_status(deployment: Deployment) -> dict[str, Any]:
    """Return the fields of GitHub's `deployment_status` event that matter, in its shape.

    https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_status
    """
    at = deployment.finished_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    number = uuid.uuid4().int % 10**9
    repository = f"{ORGANISATION}/{deployment.service}"
    page = f"https://github.com/{repository}"
    sha = hashlib.sha256(f"{deployment.service}{deployment.version}".encode()).hexdigest()[:40]
    return {
        "action": "created",
        "deployment_status": {
            "id": number + 1,
            "state": "success",
            "creator": {"login": "release-bot", "type": "Bot"},
            "description": f"{deployment.service} {deployment.version} is live",
            "environment": "production",
            "target_url": f"{page}/actions",
            "log_url": f"{page}/actions",
            "created_at": at,
            "updated_at": at,
        },
        "deployment": {
            "id": number,
            "sha": sha,
            "ref": deployment.version,
            "task": "deploy",
            "environment": "production",
            "description": None,
            "creator": {"login": "release-bot", "type": "Bot"},
            "payload": {},
            "created_at": at,
            "updated_at": at,
        },
        "repository": {"id": 1, "name": deployment.service, "full_name": repository, "html_url": page},
        "sender": {"login": "release-bot", "type": "Bot"},
    }


class Incidents:
    """Asks the incident service what it knows."""

    def __init__(self, addresses: Addresses) -> None:
        self._channel = grpc.insecure_channel(addresses.incidents_grpc)
        self._stub = incident_service_pb2_grpc.IncidentServiceStub(self._channel)
        self._metadata = (("x-api-key", addresses.api_key),)

    def list(self) -> list[incident_pb2.Incident]:
        """Return the tenant's incidents, oldest first."""
        request = incident_service_pb2.ListIncidentsRequest(page_size=100)
        answer = self._stub.ListIncidents(request, timeout=CALL_SECONDS, metadata=self._metadata)
        return list(reversed(answer.incidents))

    def analysis(self, incident_id: str) -> HypothesesPublished | None:
        """Return the latest analysis of an incident, or None before the first."""
        request = incident_service_pb2.GetHypothesesRequest(id=incident_id)
        try:
            return self._stub.GetHypotheses(request, timeout=CALL_SECONDS, metadata=self._metadata).analysis
        except grpc.RpcError as exc:
            if exc.code() == grpc.StatusCode.NOT_FOUND:
                return None
            raise

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def rows_stored(store: ClickHouse, tenant: str, since: datetime) -> int:
    """Return how many spans of the tenant are queryable."""
    sql = "SELECT count() FROM spans_raw WHERE TenantId = %(tenant)s AND Timestamp >= %(since)s"
    return int(store.query(sql, {"tenant": tenant, "since": since})[0][0])
