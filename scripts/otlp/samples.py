"""Export requests as collectors send them, the same for the same seed: input of the ingest bench."""

from __future__ import annotations

import random
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SIGNALS = ("logs", "spans", "metrics")
START_NS = 1_795_243_440_000_000_000

RESOURCE = {
    "service.name": "checkout", "service.namespace": "shop", "service.version": "2.14.3", "host.name": "node-7",
    "k8s.pod.name": "checkout-7c9d4b6f5-x2x9q", "k8s.namespace.name": "shop",
    "deployment.environment.name": "production", "telemetry.sdk.language": "java",
}  # fmt: skip

# Attributes as instrumentation sets them: mostly short texts, some numbers, few flags
ATTRIBUTES: list[tuple[str, Any]] = [
    ("http.request.method", ("GET", "POST", "PUT")), ("http.response.status_code", (200, 201, 404, 503)),
    ("url.path", ("/cart", "/checkout/confirm", "/products/1729")), ("user.id", 1_000_000),
    ("server.address", ("cart.shop.svc", "payment.shop.svc")), ("server.port", (443, 8080)),
    ("client.address", ("10.2.0.17", "10.2.3.99")), ("http.route", ("/cart", "/checkout/:step", "/products/:id")),
    ("thread.name", ("http-nio-8080-exec-3", "http-nio-8080-exec-11")), ("thread.id", 200),
    ("app.cart.total", (19.99, 250.5, 7.0)), ("app.cart.items", 30), ("app.retry", (True, False)),
    ("network.protocol.version", ("1.1", "2")), ("user_agent.original", ("Mozilla/5.0 (X11; Linux x86_64)", "curl/8")),
    ("app.currency", ("EUR", "USD")), ("code.function.name", ("confirm", "addItem")), ("code.line.number", 900),
    ("error.type", ("timeout", "500")), ("feature_flag.key", ("new-cart", "fast-pay")),
]  # fmt: skip

BODIES = (
    "order {} confirmed in {} ms for customer {}",
    "connection to payment gateway lost, attempt {} of {}, trace {}",
    "cache miss for product {} in shard {}: falling back to the database, request {}",
)


def request(signal: str, records: int, attributes: int, source: random.Random) -> bytes:
    """Return an export of that many records (log records, spans or points), as protobuf."""
    return bytes(_BUILDERS[signal](records, attributes, source).SerializeToString())


def _set(target: Any, key: str, value: Any) -> None:
    item = target.add()
    item.key = key
    match value:
        case bool():
            item.value.bool_value = value
        case int():
            item.value.int_value = value
        case float():
            item.value.double_value = value
        case _:
            item.value.string_value = value


def _attributes(target: Any, count: int, source: random.Random) -> None:
    for key, choice in ATTRIBUTES[:count]:
        _set(target, key, source.choice(choice) if isinstance(choice, tuple) else source.randrange(choice))


def _resource(resource: Any) -> None:
    for key, value in RESOURCE.items():
        _set(resource.attributes, key, value)


def _logs(records: int, attributes: int, source: random.Random) -> Any:
    export = ExportLogsServiceRequest()
    resource = export.resource_logs.add()
    _resource(resource.resource)
    scope = resource.scope_logs.add()
    scope.scope.name = "com.shop.checkout.OrderService"
    for i in range(records):
        record: Any = scope.log_records.add()
        record.time_unix_nano = START_NS + i * 1_000_000
        record.observed_time_unix_nano = record.time_unix_nano + 250_000
        record.severity_number, record.severity_text = source.choice(((9, "INFO"), (13, "WARN"), (17, "ERROR")))
        record.body.string_value = source.choice(BODIES).format(*(source.randrange(10**k) for k in (5, 3, 9)))
        record.trace_id, record.span_id, record.flags = source.randbytes(16), source.randbytes(8), 1
        _attributes(record.attributes, attributes, source)
    return export


def _spans(records: int, attributes: int, source: random.Random) -> Any:
    export = ExportTraceServiceRequest()
    resource = export.resource_spans.add()
    _resource(resource.resource)
    scope = resource.scope_spans.add()
    scope.scope.name, scope.scope.version = "io.opentelemetry.spring-webmvc-6.0", "2.10.0"
    for i in range(records):
        span: Any = scope.spans.add()
        span.trace_id, span.span_id, span.parent_span_id = (source.randbytes(n) for n in (16, 8, 8))
        span.name, span.kind, span.flags = source.choice(("GET /cart", "POST /checkout/:step")), 1 + i % 3, 257
        span.start_time_unix_nano = START_NS + i * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + source.randrange(10**9)
        _attributes(span.attributes, attributes, source)
        if i % 10 == 0:
            event = span.events.add(time_unix_nano=span.end_time_unix_nano, name="exception")
            _set(event.attributes, "exception.type", "java.net.SocketTimeoutException")
            span.status.code, span.status.message = 2, "timed out"
        if i % 20 == 0:
            span.links.add(trace_id=source.randbytes(16), span_id=source.randbytes(8))
    return export


def _metrics(records: int, attributes: int, source: random.Random) -> Any:
    """Points of a tenth histograms, half of the rest gauges and half sums; ten points to a metric."""
    export = ExportMetricsServiceRequest()
    resource = export.resource_metrics.add()
    _resource(resource.resource)
    scope = resource.scope_metrics.add()
    scope.scope.name = "io.opentelemetry.runtime-telemetry"
    for i in range(0, records, 10):
        metric = scope.metrics.add(name=f"app.measure.{i // 10 % 50}", unit="ms", description="A measured quantity")
        _points(metric, i // 10, min(10, records - i), attributes, source)
    return export


def _points(metric: Any, kind: int, count: int, attributes: int, source: random.Random) -> None:
    for i in range(count):
        if kind % 10 == 0:
            metric.histogram.aggregation_temporality = 2
            point = metric.histogram.data_points.add(count=30, sum=source.random() * 100, min=0.5, max=9.0)
            point.bucket_counts.extend([3, 7, 11, 5, 3, 1])
            point.explicit_bounds.extend([1.0, 2.0, 4.0, 6.0, 8.0])
        elif kind % 2:
            point = metric.gauge.data_points.add(as_double=source.random() * 100)
        else:
            metric.sum.aggregation_temporality, metric.sum.is_monotonic = 2, True
            point = metric.sum.data_points.add(as_int=source.randrange(10**6))
        point.start_time_unix_nano, point.time_unix_nano = START_NS, START_NS + i * 1_000_000
        _attributes(point.attributes, attributes, source)


_BUILDERS = {"logs": _logs, "spans": _spans, "metrics": _metrics}
