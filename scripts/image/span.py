"""One span in through OTLP/HTTP, and out of ClickHouse."""

from __future__ import annotations

import secrets
import time

import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from libs.storage.clickhouse import ClickHouse

SERVICE = "image-smoke"
SEND_SECONDS = 10.0
POLL_SECONDS = 0.2


def send(address: str) -> str:
    """Send a span without a key, so to the tenant of anonymous callers; return its trace id. Raises httpx.HTTPError."""
    trace, now = secrets.token_bytes(16), time.time_ns()
    span = Span(
        trace_id=trace, span_id=secrets.token_bytes(8), name="smoke", kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now - 5_000_000, end_time_unix_nano=now,
    )  # fmt: skip
    named = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value=SERVICE))])
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=named, scope_spans=[ScopeSpans(spans=[span])])]
    )
    answer = httpx.post(
        f"{address}/v1/traces", content=request.SerializeToString(), timeout=SEND_SECONDS, trust_env=False,
        headers={"content-type": "application/x-protobuf"},
    )  # fmt: skip
    answer.raise_for_status()
    return trace.hex()


def found(store: ClickHouse, tenant: str, trace: str, seconds: float) -> bool:
    """Return whether the span is in the table within that time; raises Unavailable or Refused."""
    deadline = time.monotonic() + seconds
    sql = "SELECT count() FROM spans_raw WHERE TenantId = %(tenant)s AND TraceId = %(trace)s AND ServiceName = %(name)s"
    while not (rows := store.query(sql, {"tenant": tenant, "trace": trace, "name": SERVICE})) or not rows[0][0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
