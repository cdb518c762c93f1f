"""Log records to rows of `logs_raw`."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from libs.otlp.batch import INGEST_COLUMNS, MAX_BODY_BYTES, SPAN_ID_BYTES, TRACE_ID_BYTES
from libs.otlp.native import MAP, NANOSECONDS, STRING, UINT8, Column
from libs.otlp.values import Cuts, attributes, identifier, kept_time, nanoseconds, string, text
from libs.otlp.walk import Row, Scope, Signal

TABLE = "logs_raw"

COLUMNS = (
    Column("TenantId", STRING),
    Column("Timestamp", NANOSECONDS),
    Column("ObservedTimestamp", NANOSECONDS),
    Column("TraceId", STRING),
    Column("SpanId", STRING),
    Column("TraceFlags", UINT8),
    Column("SeverityText", STRING),
    Column("SeverityNumber", UINT8),
    Column("ServiceName", STRING),
    Column("Body", STRING),
    Column("ResourceSchemaUrl", STRING),
    Column("ResourceAttributes", MAP),
    Column("ScopeSchemaUrl", STRING),
    Column("ScopeName", STRING),
    Column("ScopeVersion", STRING),
    Column("ScopeAttributes", MAP),
    Column("LogAttributes", MAP),
    Column("EventName", STRING),
    *INGEST_COLUMNS,
)


def rows(record: Any, scope: Scope, index: int) -> list[Row]:
    """Return the one row of a log record. Without a time it gets the time it was observed, or received."""
    cuts = Cuts(scope.cut)
    observed = nanoseconds(record.observed_time_unix_nano) or scope.received_ns
    return [
        (
            scope.message.tenant,
            kept_time(record.time_unix_nano or observed, scope.received_ns),
            observed,
            identifier(record.trace_id, TRACE_ID_BYTES),
            identifier(record.span_id, SPAN_ID_BYTES),
            record.flags & 0xFF,
            string(record.severity_text, cuts),
            record.severity_number if 0 <= record.severity_number <= 24 else 0,
            scope.service,
            text(record.body, cuts, MAX_BODY_BYTES),
            scope.resource_schema_url,
            scope.resource,
            scope.schema_url,
            scope.name,
            scope.version,
            scope.attributes,
            attributes(record.attributes, cuts),
            string(record.event_name, cuts),
            *scope.place(index, cuts.count),
        )
    ]


LOGS = Signal(ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records", COLUMNS, rows)
