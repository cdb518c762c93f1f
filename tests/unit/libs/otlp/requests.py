"""Export requests for tests, built with the generated classes."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message as Protobuf
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from libs.otlp.batch import Message

NOW_NS = 1_795_243_440_123_456_789
RECEIVED_MS = 1_795_243_441_000
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")
SPAN = bytes.fromhex("00f067aa0ba902b7")


def value(plain: Any) -> AnyValue:
    """Return a Python value as an AnyValue."""
    if plain is None:
        return AnyValue()
    if isinstance(plain, list):
        return AnyValue(array_value=ArrayValue(values=[value(item) for item in plain]))
    if isinstance(plain, dict):
        return AnyValue(kvlist_value=KeyValueList(values=attributes(plain)))
    fields = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    scalar = AnyValue()
    setattr(scalar, fields[type(plain)], plain)
    return scalar


def attributes(plain: dict[str, Any]) -> list[KeyValue]:
    """Return a dictionary as key-values."""
    return [KeyValue(key=key, value=value(item)) for key, item in plain.items()]


def nested(levels: int) -> AnyValue:
    """Return lists within lists."""
    inner = AnyValue(string_value="x")
    for _ in range(levels):
        inner = AnyValue(array_value=ArrayValue(values=[inner]))
    return inner


def logs(*records: Any, service: str = "cart") -> ExportLogsServiceRequest:
    """Return an export of log records, of one resource and scope."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://r")
    resource.resource.attributes.extend(attributes({"service.name": service, "host.name": "h1"}))
    scope = resource.scope_logs.add(schema_url="https://s")
    scope.scope.name, scope.scope.version = "lib", "1.2"
    scope.scope.attributes.extend(attributes({"in": "scope"}))
    scope.log_records.extend(records)
    return request


def spans(*records: Any, service: str = "cart") -> ExportTraceServiceRequest:
    """Return an export of spans, of one resource and scope."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.extend(attributes({"service.name": service}))
    scope = resource.scope_spans.add()
    scope.scope.name = "lib"
    scope.spans.extend(records)
    return request


def metrics(*records: Any, service: str = "cart") -> ExportMetricsServiceRequest:
    """Return an export of metrics, of one resource and scope."""
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.extend(attributes({"service.name": service}))
    scope = resource.scope_metrics.add()
    scope.scope.dropped_attributes_count = 2
    scope.metrics.extend(records)
    return request


def message(content: Protobuf | bytes, offset: int = 0, content_type: str = "") -> Message:
    """Return an export as it comes off the broker."""
    body = content if isinstance(content, bytes) else content.SerializeToString()
    return Message(body, "acme", "otel.test", 3, offset, RECEIVED_MS, content_type)
