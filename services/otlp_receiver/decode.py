"""Whether the body of an export is one: pure, so that it can run in another process."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from libs.kernel.errors import InvalidInput
from libs.otlp.walk import parse
from services.otlp_receiver.domain import Checked, Encoding, Reason, Signal

MAX_RECORDS: Final = 100_000  # of one export; empty ones take two bytes each, and a thousand times that once decoded
MAX_JSON_OBJECTS: Final = 500_000  # also arrays; counted before anything is made of them
REQUESTS: Final[dict[Signal, tuple[Any, str, str, str]]] = {
    Signal.LOGS: (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
    Signal.METRICS: (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
    Signal.TRACES: (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
}


def check(signal: Signal, encoding: Encoding, body: bytes) -> Checked:
    """Return what there is to say about a body."""
    if encoding is Encoding.JSON and max(body.count(b"{"), body.count(b"[")) > MAX_JSON_OBJECTS:
        return _too_many(f"{MAX_JSON_OBJECTS} JSON objects")
    kind, resources, scopes, records = REQUESTS[signal]
    try:
        request = parse(kind, body, encoding)
    except InvalidInput as error:
        return Checked(reason=Reason.UNDECODABLE, problem=f"{error.reason}: {error}")
    found = getattr(request, resources)
    inner: Iterable[Any] = chain.from_iterable(getattr(resource, scopes) for resource in found)
    if sum(_size(getattr(scope, records), signal) for scope in inner) > MAX_RECORDS:
        return _too_many(f"{MAX_RECORDS} records")
    return Checked(empty=not found)


def _size(records: Any, signal: Signal) -> int:
    if signal is not Signal.METRICS:
        return len(records)
    kinds = ((metric, metric.WhichOneof("data")) for metric in records)
    return len(records) + sum(len(getattr(metric, kind).data_points) for metric, kind in kinds if kind)


def _too_many(what: str) -> Checked:
    return Checked(reason=Reason.TOO_LARGE, problem=f"the export has more than {what}; send smaller batches")
