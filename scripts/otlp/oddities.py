"""Valid export requests full of what senders seldom send, the same for the same seed."""

from __future__ import annotations

import random
import struct
from typing import Any, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from libs.otlp.batch import NEWEST_NANOSECONDS, OLDEST_NANOSECONDS

NOW_NS: Final = 1_795_243_440_123_456_789
TEXTS: Final = (
    "", "a", "service.name", "http.request.method", "eight by", "naïve", "日本語のログ", "🙂" * 5, "a\x00b",
    '"\\\n\t\x7f', "x" * 127, "x" * 128, "é" * 100, "\ud7ff\ue000\U0010ffff", "same-prefix-of-keys-1",
    "same-prefix-of-keys-2",
)  # fmt: skip
INTEGERS: Final = (0, 1, -1, 9, 10, -10, 127, 128, 10**9, -(10**18), 2**53 + 1, 2**63 - 1, -(2**63))
DOUBLES: Final = (
    0.0, -0.0, 1.0, -1.5, 0.1, 1 / 3, 1e15, 1e16, 123456789012345.6, 1e21, 1e22, 1e-6, 1e-7, 5e-324,
    1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), 2.0**50, 2.0**50 - 0.5, 99999999999999.9,
    0.30000000000000004,
)  # fmt: skip
DAY: Final = 86_400 * 10**9
TIMES: Final = (0, 1, NOW_NS, NOW_NS + 1, 2**63 - 1)
LOST: Final = (  # seconds, milli- and microseconds among them; and both sides of each bound
    1, NOW_NS // 10**9, NOW_NS // 10**6, NOW_NS // 10**3, OLDEST_NANOSECONDS - 1, OLDEST_NANOSECONDS,
    NEWEST_NANOSECONDS, NEWEST_NANOSECONDS + 1, 2**63 - 1, 2**63, NOW_NS - 399 * DAY, NOW_NS - 401 * DAY,
)  # fmt: skip
ENUMS: Final = (0, 1, 2, 3, 5, 9, 24, 25, -1, 2**31 - 1, -(2**31))
UNSIGNED: Final = (0, 1, 255, 256, 2**32 - 1)
WIDE: Final = (0, 1, 127, 300, 2**32, 2**63, 2**64 - 1)


def request(signal: str, source: random.Random) -> Any:
    """Return a small export message with odd contents."""
    kind, resources, scopes, fill = _SIGNALS[signal]
    export = kind()
    for _ in range(source.choice((0, 1, 1, 1, 2))):
        resource = getattr(export, resources).add(schema_url=_text(source))
        _attributes(resource.resource.attributes, source)
        if source.random() < 0.3:
            resource.resource.dropped_attributes_count = source.choice(UNSIGNED)
            resource.resource.entity_refs.add(type="host", id_keys=["a"], schema_url=_text(source))
        for _ in range(source.choice((0, 1, 1, 2))):
            scope = getattr(resource, scopes).add(schema_url=_text(source))
            if source.random() < 0.8:
                scope.scope.name, scope.scope.version = _text(source), _text(source)
                scope.scope.dropped_attributes_count = source.choice(UNSIGNED)
                _attributes(scope.scope.attributes, source)
            for _ in range(source.choice((0, 1, 2, 5))):
                fill(scope, source)
    return export


def _text(source: random.Random) -> str:
    return source.choice(TEXTS) if source.random() < 0.8 else source.choice(TEXTS) + str(source.randrange(1000))


def _id(source: random.Random, size: int) -> bytes:
    if source.random() < 0.02:
        return source.randbytes(33)
    return source.choice((b"", bytes(size), source.randbytes(size), source.randbytes(size), b"\1"))


def _time(source: random.Random) -> int:
    """Return the time of a record: none, now, or seldom one that is not kept."""
    return source.choice(LOST) if source.random() < 0.02 else source.choice((0, NOW_NS, NOW_NS + 1))


def _double(source: random.Random) -> float:
    kind = source.randrange(4)
    if kind == 0:
        return source.choice(DOUBLES)
    if kind == 1:
        return round(source.uniform(-1000, 1000), source.randrange(6))
    if kind == 2:
        (number,) = struct.unpack("<d", source.randbytes(8))
        return float(number)
    return source.random() * 10.0 ** source.randrange(-8, 18)


def _value(value: Any, source: random.Random, depth: int = 0) -> None:
    """Set an AnyValue to something, or leave it unset."""
    kind = source.randrange(9 if depth < 3 else 6)
    if kind == 1:
        value.bool_value = source.random() < 0.5
    elif kind == 2:
        value.int_value = source.choice(INTEGERS) if source.random() < 0.5 else source.randrange(-(10**6), 10**6)
    elif kind == 3:
        value.double_value = _double(source)
    elif kind == 4:
        value.bytes_value = source.randbytes(source.randrange(20))
    elif kind == 6:
        value.array_value.SetInParent()
        for _ in range(source.randrange(4)):
            _value(value.array_value.values.add(), source, depth + 1)
    elif kind == 7:
        value.kvlist_value.SetInParent()
        for _ in range(source.randrange(4)):
            item = value.kvlist_value.values.add(key=_text(source))
            _value(item.value, source, depth + 1)
    elif kind > 0:
        value.string_value = _text(source)


def _attributes(target: Any, source: random.Random) -> None:
    for _ in range(source.choice((0, 1, 3, 8))):
        item = target.add(key=_text(source))
        if source.random() < 0.95:
            _value(item.value, source)


def _log(scope: Any, source: random.Random) -> None:
    record = scope.log_records.add(
        time_unix_nano=_time(source), observed_time_unix_nano=_time(source), severity_text=_text(source),
        severity_number=source.choice(ENUMS), flags=source.choice(UNSIGNED), trace_id=_id(source, 16),
        span_id=_id(source, 8), event_name=_text(source), dropped_attributes_count=source.choice(UNSIGNED),
    )  # fmt: skip
    _value(record.body, source)
    _attributes(record.attributes, source)


def _span(scope: Any, source: random.Random) -> None:
    span = scope.spans.add(
        trace_id=_id(source, 16), span_id=_id(source, 8), parent_span_id=_id(source, 8), trace_state=_text(source),
        name=_text(source), kind=source.choice(ENUMS), start_time_unix_nano=_time(source),
        end_time_unix_nano=_time(source), flags=source.choice(UNSIGNED),
    )  # fmt: skip
    _attributes(span.attributes, source)
    if source.random() < 0.6:
        span.status.code, span.status.message = source.choice(ENUMS), _text(source)
    for _ in range(source.choice((0, 0, 1, 3))):
        event = span.events.add(time_unix_nano=source.choice(TIMES), name=_text(source))
        _attributes(event.attributes, source)
    for _ in range(source.choice((0, 0, 1, 3))):
        link = span.links.add(trace_id=_id(source, 16), span_id=_id(source, 8), trace_state=_text(source))
        _attributes(link.attributes, source)


def _metric(scope: Any, source: random.Random) -> None:
    metric = scope.metrics.add(name=_text(source), description=_text(source), unit=_text(source))
    kind = source.choice(("", "gauge", "sum", "histogram", "exponential_histogram", "summary"))
    if not kind:
        return
    data = getattr(metric, kind)
    data.SetInParent()
    if hasattr(data, "aggregation_temporality"):
        data.aggregation_temporality = source.choice(ENUMS)
    if kind == "sum":
        data.is_monotonic = source.random() < 0.5
    for _ in range(source.choice((0, 1, 2, 4))):
        point = data.data_points.add(
            start_time_unix_nano=source.choice(TIMES),
            time_unix_nano=_time(source),
            flags=source.choice(UNSIGNED),
        )
        _attributes(point.attributes, source)
        _POINTS[kind](point, source)


def _number(point: Any, source: random.Random) -> None:
    kind = source.randrange(3)
    if kind == 1:
        point.as_int = source.choice(INTEGERS)
    elif kind == 2:
        point.as_double = _double(source)


def _number_point(point: Any, source: random.Random) -> None:
    _number(point, source)
    _exemplars(point, source)


def _exemplars(point: Any, source: random.Random) -> None:
    for _ in range(source.choice((0, 0, 1, 2))):
        exemplar = point.exemplars.add(
            time_unix_nano=source.choice(TIMES), span_id=_id(source, 8), trace_id=_id(source, 16)
        )
        _number(exemplar, source)
        _attributes(exemplar.filtered_attributes, source)


def _histogram(point: Any, source: random.Random) -> None:
    point.count = source.choice(WIDE)
    for name in ("sum", "min", "max"):
        if source.random() < 0.6:
            setattr(point, name, _double(source))
    point.bucket_counts.extend(source.choices(WIDE, k=source.randrange(5)))
    point.explicit_bounds.extend(_double(source) for _ in range(source.randrange(5)))
    _exemplars(point, source)


def _exponential(point: Any, source: random.Random) -> None:
    point.count, point.zero_count = source.choice(WIDE), source.choice(WIDE)
    point.scale, point.zero_threshold = source.choice(ENUMS), _double(source)
    for name in ("sum", "min", "max"):
        if source.random() < 0.6:
            setattr(point, name, _double(source))
    for side in (point.positive, point.negative):
        if source.random() < 0.7:
            side.offset = source.choice(ENUMS)
            side.bucket_counts.extend(source.choices(WIDE, k=source.randrange(5)))
    _exemplars(point, source)


def _summary(point: Any, source: random.Random) -> None:
    point.count, point.sum = source.choice(WIDE), _double(source)
    for _ in range(source.randrange(4)):
        point.quantile_values.add(quantile=_double(source), value=_double(source))


_POINTS = {
    "gauge": _number_point, "sum": _number_point, "histogram": _histogram, "exponential_histogram": _exponential,
    "summary": _summary,
}  # fmt: skip
_SIGNALS = {
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", _log),
    "spans": (ExportTraceServiceRequest, "resource_spans", "scope_spans", _span),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", _metric),
}
