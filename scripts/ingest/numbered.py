"""Telemetry in which every record carries its number, made by patching numbers and times into ready-made bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_ERROR, SEVERITY_NUMBER_INFO, LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

PER_MESSAGE: Final = 100
DIGITS: Final = 10
SERVICES: Final = ("cart", "checkout", "payment", "search")
DURATION_NS: Final = 7_000_000

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: its topic, raw table, the column of its time, and SQL for a record's number."""

    name: str
    topic: str
    service: str
    table: str
    time: str
    number: str


SIGNALS: Final = (
    Signal("logs", "otel.logs", "log_consumer", "logs_raw", "Timestamp", "toUInt64OrZero(extract(Body, '[0-9]{10}'))"),
    Signal(
        "spans", "otel.traces", "trace_consumer", "spans_raw", "Timestamp",
        "reinterpretAsUInt64(reverse(unhex(SpanId))) - 1",
    ),
    Signal(
        "metrics", "otel.metrics", "metric_consumer", "metrics_timeseries", "TimeUnix",
        "toUInt64OrZero(Attributes['n'])",
    ),
)  # fmt: skip


class Marks:
    """Values that occur once in a message, so that their place can be found in its bytes."""

    def __init__(self) -> None:
        self.fields: dict[str, list[bytes]] = {}

    def number(self, field: str, size: int = 8) -> bytes:
        """Return a new mark of a field."""
        mark = os.urandom(size)
        self.fields.setdefault(field, []).append(mark)
        return mark

    def digits(self) -> str:
        """Return a new mark of DIGITS digits: the record's number in decimal."""
        mark = str(int.from_bytes(os.urandom(8), "big") % 10**DIGITS).zfill(DIGITS)
        self.fields.setdefault("decimal", []).append(mark.encode())
        return mark

    def nanoseconds(self, field: str = "time") -> int:
        """Return a new mark of a fixed 64-bit field."""
        return int.from_bytes(self.number(field), "little")


class Template:
    """A message of PER_MESSAGE records whose numbers and times can be set."""

    def __init__(self, build: Callable[[Marks], Any]) -> None:
        marks = Marks()
        body = build(marks).SerializeToString()
        self._body: Bytes = np.frombuffer(body, dtype=np.uint8).copy()
        self._places = {
            field: np.array([body.index(mark) for mark in found])[:, None] + np.arange(len(found[0]))
            for field, found in marks.fields.items()
        }

    def fill(self, first: int, now_ns: int) -> bytes:
        """Return the message whose records are numbered from `first`, at a time."""
        numbers = np.arange(first, first + PER_MESSAGE, dtype=np.uint64)
        clients = numbers[: PER_MESSAGE // 2]
        values = {
            "decimal": _decimal(numbers),
            "time": _fixed(np.full(PER_MESSAGE, now_ns), "<u8"),
            "end": _fixed(np.full(PER_MESSAGE, now_ns + DURATION_NS), "<u8"),
            "span": _fixed(numbers + np.uint64(1), ">u8"),
            "trace": _fixed(np.concatenate([clients, clients]), ">u8"),
            "parent": _fixed(clients + np.uint64(1), ">u8"),
        }
        for field, places in self._places.items():
            self._body[places] = values[field]
        return self._body.tobytes()


def _decimal(numbers: NDArray[np.uint64]) -> Bytes:
    powers = 10 ** np.arange(DIGITS - 1, -1, -1, dtype=np.uint64)
    return (numbers[:, None] // powers % np.uint64(10) + np.uint64(48)).astype(np.uint8)


def _fixed(numbers: NDArray[Any], kind: str) -> Bytes:
    return np.ascontiguousarray(numbers.astype(kind)).view(np.uint8).reshape(len(numbers), 8)


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _resource(holder: Any, service: str) -> None:
    holder.resource.attributes.extend([_text("service.name", service), _text("host.name", "soak-1")])


def logs(service: str) -> Callable[[Marks], Any]:
    """Return the builder of a message of log records in three shapes, one in ten an error."""

    def build(marks: Marks) -> Any:
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add()
        _resource(resource, service)
        scope = resource.scope_logs.add()
        for n in range(PER_MESSAGE):
            text = f"{('order', 'user', 'request')[n % 3]} number {marks.digits()} done"
            severity = SEVERITY_NUMBER_ERROR if n % 10 == 0 else SEVERITY_NUMBER_INFO
            record = LogRecord(severity_number=severity, body=AnyValue(string_value=text))
            record.time_unix_nano = marks.nanoseconds()
            record.attributes.extend([_text("http.route", "/buy"), _text("thread", "main")])
            scope.log_records.append(record)
        return request

    return build


def spans(service: str) -> Callable[[Marks], Any]:
    """Return the builder of a message of calls: client spans of `web` first, then the server spans they reach."""

    def build(marks: Marks) -> Any:
        request = ExportTraceServiceRequest()
        for kind, name in ((Span.SPAN_KIND_CLIENT, "web"), (Span.SPAN_KIND_SERVER, service)):
            resource = request.resource_spans.add()
            _resource(resource, name)
            scope = resource.scope_spans.add()
            for n in range(PER_MESSAGE // 2):
                span = scope.spans.add(span_id=marks.number("span"), name="GET /buy", kind=kind)
                span.trace_id = b"incident" + marks.number("trace")
                span.start_time_unix_nano, span.end_time_unix_nano = marks.nanoseconds(), marks.nanoseconds("end")
                span.attributes.extend([_text("http.request.method", "GET"), _text("server.address", service)])
                if kind == Span.SPAN_KIND_SERVER:
                    span.parent_span_id = marks.number("parent")
                    span.status.code = 2 if n % 10 == 0 else 0  # type: ignore[assignment]
        return request

    return build


def metrics(service: str) -> Callable[[Marks], Any]:
    """Return the builder of a message of points of one gauge."""

    def build(marks: Marks) -> Any:
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        _resource(resource, service)
        metric = resource.scope_metrics.add().metrics.add(name="queue.length", unit="{item}")
        for n in range(PER_MESSAGE):
            point = NumberDataPoint(as_double=float(n), time_unix_nano=marks.nanoseconds())
            point.attributes.extend([_text("n", marks.digits())])
            metric.gauge.data_points.append(point)
        return request

    return build


BUILDERS: Final = {"logs": logs, "spans": spans, "metrics": metrics}


class Numbered:
    """Messages of one signal, of several services in turn, numbered from 0 on."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self._templates = [Template(BUILDERS[signal.name](service)) for service in SERVICES]
        self.messages = 0

    @property
    def records(self) -> int:
        """Return how many records were made so far."""
        return self.messages * PER_MESSAGE

    def next(self, now_ns: int) -> bytes:
        """Return the next message."""
        template = self._templates[self.messages % len(self._templates)]
        body = template.fill(self.records, now_ns)
        self.messages += 1
        return body
