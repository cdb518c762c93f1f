"""One export, whichever way it came: checked, kept, counted."""

from __future__ import annotations

import time
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry, Counter, Histogram

from libs.kernel.errors import InvalidInput, Unavailable
from libs.otlp.walk import parse
from services.otlp_receiver.domain import Encoding, ExportRefused, Outcome, Reason, Signal
from services.otlp_receiver.ports import Publisher

REQUESTS: Final[dict[Signal, tuple[Any, str]]] = {
    Signal.LOGS: (ExportLogsServiceRequest, "resource_logs"),
    Signal.METRICS: (ExportMetricsServiceRequest, "resource_metrics"),
    Signal.TRACES: (ExportTraceServiceRequest, "resource_spans"),
}


class ReceiverMetrics:
    """What the receiver tells about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix = "incidentscope_otlp_receiver"
        labels = ["signal", "protocol", "outcome"]
        self.exports = Counter(f"{prefix}_exports_total", "Exports by how they ended", labels, registry=registry)
        self.bytes = Counter(f"{prefix}_bytes_total", "Bytes of accepted exports", ["signal"], registry=registry)
        self.seconds = Histogram(
            f"{prefix}_export_seconds", "From the decoded body until the broker's answer", registry=registry
        )


class Receiver:
    """Takes exports and keeps them as they came."""

    def __init__(self, publisher: Publisher, metrics: ReceiverMetrics) -> None:
        self._publisher = publisher
        self._metrics = metrics

    async def receive(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> Outcome:
        """Return once the export is kept; raises ExportRefused."""
        kind, resources = REQUESTS[signal]
        try:
            request = parse(kind, body, encoding)
        except InvalidInput as error:
            raise ExportRefused(Reason.UNDECODABLE, f"{error.reason}: {error}") from error
        if not getattr(request, resources):
            return Outcome.EMPTY
        await self._publish(signal, tenant, encoding, body)
        return Outcome.ACCEPTED

    async def _publish(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> None:
        started = time.monotonic()
        try:
            await self._publisher.publish(signal, tenant, encoding, body)
        except Unavailable as error:
            raise ExportRefused(Reason.UNAVAILABLE, f"not stored, send it again: {error}") from error
        except InvalidInput as error:
            raise ExportRefused(Reason.TOO_LARGE, str(error)) from error
        finally:
            self._metrics.seconds.observe(time.monotonic() - started)
        self._metrics.bytes.labels(signal).inc(len(body))

    def count(self, signal: Signal, protocol: str, ended: Outcome | Reason) -> None:
        """Count an export by how it ended."""
        self._metrics.exports.labels(signal, protocol, ended).inc()
