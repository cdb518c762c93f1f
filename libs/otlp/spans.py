"""Spans to rows of `spans_raw`."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from libs.kernel.errors import InvalidInput
from libs.otlp.batch import INGEST_COLUMNS, MAX_TEXT_BYTES, SPAN_ID_BYTES, TRACE_ID_BYTES
from libs.otlp.native import MAP, NANOSECONDS, STRING, UINT64, Column, array_of
from libs.otlp.values import Cuts, attributes, identifier, kept_time, nanoseconds, string
from libs.otlp.walk import Row, Scope, Signal

TABLE = "spans_raw"

COLUMNS = (
    Column("TenantId", STRING),
    Column("Timestamp", NANOSECONDS),
    Column("TraceId", STRING),
    Column("SpanId", STRING),
    Column("ParentSpanId", STRING),
    Column("TraceState", STRING),
    Column("SpanName", STRING),
    Column("SpanKind", STRING),
    Column("ServiceName", STRING),
    Column("ResourceAttributes", MAP),
    Column("ScopeName", STRING),
    Column("ScopeVersion", STRING),
    Column("SpanAttributes", MAP),
    Column("Duration", UINT64),
    Column("StatusCode", STRING),
    Column("StatusMessage", STRING),
    Column("Events.Timestamp", array_of(NANOSECONDS)),
    Column("Events.Name", array_of(STRING)),
    Column("Events.Attributes", array_of(MAP)),
    Column("Links.TraceId", array_of(STRING)),
    Column("Links.SpanId", array_of(STRING)),
    Column("Links.TraceState", array_of(STRING)),
    Column("Links.Attributes", array_of(MAP)),
    *INGEST_COLUMNS,
)

KINDS: Final = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
STATUS_CODES: Final = ("Unset", "Ok", "Error")


def is_span(span: Any) -> bool:
    """Tell whether there is a time or the ids: another signal's record read as a span has neither."""
    if span.start_time_unix_nano or span.end_time_unix_nano:
        return True
    return bool(identifier(span.trace_id, TRACE_ID_BYTES) and identifier(span.span_id, SPAN_ID_BYTES))


def rows(span: Any, scope: Scope, index: int) -> list[Row]:
    """Return the one row of a span; raises InvalidInput `not_a_span`.

    Unknown kinds and codes count as unspecified, an end before the start as no duration.
    """
    if not is_span(span):
        raise InvalidInput("not_a_span", "it has neither a time nor the ids of a span")
    cuts = Cuts(scope.cut)
    start = span.start_time_unix_nano
    return [
        (
            scope.message.tenant,
            kept_time(start or span.end_time_unix_nano or scope.received_ns, scope.received_ns),
            identifier(span.trace_id, TRACE_ID_BYTES),
            identifier(span.span_id, SPAN_ID_BYTES),
            identifier(span.parent_span_id, SPAN_ID_BYTES),
            string(span.trace_state, cuts),
            string(span.name, cuts),
            KINDS[span.kind] if 0 <= span.kind < len(KINDS) else KINDS[0],
            scope.service,
            scope.resource,
            scope.name,
            scope.version,
            attributes(span.attributes, cuts),
            max(nanoseconds(span.end_time_unix_nano) - start, 0) if start else 0,
            STATUS_CODES[span.status.code] if 0 <= span.status.code < len(STATUS_CODES) else STATUS_CODES[0],
            string(span.status.message, cuts, MAX_TEXT_BYTES),
            [nanoseconds(event.time_unix_nano) for event in span.events],
            [string(event.name, cuts) for event in span.events],
            [attributes(event.attributes, cuts) for event in span.events],
            [identifier(link.trace_id, TRACE_ID_BYTES) for link in span.links],
            [identifier(link.span_id, SPAN_ID_BYTES) for link in span.links],
            [string(link.trace_state, cuts) for link in span.links],
            [attributes(link.attributes, cuts) for link in span.links],
            *scope.place(index, cuts.count),
        )
    ]


SPANS = Signal(ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans", COLUMNS, rows, genuine=is_span)
