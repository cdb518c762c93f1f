"""Turns simulated requests into OTLP export requests, as the services' SDKs would send them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Metric, NumberDataPoint, ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from scripts.demo import scenario as sc
from scripts.demo import world
from scripts.demo.scenario import Scenario
from scripts.demo.traffic import Span, Trace

METRIC_INTERVAL = timedelta(seconds=10)
INFO_LOG_SHARE = 0.15
SCOPE = InstrumentationScope(name="shop.instrumentation", version="1.0.0")
INFO, WARN, ERROR = 9, 13, 17  # OpenTelemetry SeverityNumber
SEVERITY_TEXT = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR"}


def _attributes(**values: str | int | float) -> list[KeyValue]:
    return [KeyValue(key=k.replace("__", "."), value=_any(v)) for k, v in sorted(values.items())]


def _any(value: str | int | float) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)


def _resource(service: str, version: str) -> Resource:
    return Resource(
        attributes=_attributes(
            deployment__environment__name="production",
            service__instance__id=f"{service}-7c9d5",
            service__name=service,
            service__namespace="shop",
            service__version=version,
            telemetry__sdk__language="python",
            telemetry__sdk__name="opentelemetry",
        )
    )


class Exporter:
    """Builds the three export requests for a stretch of time. Deterministic for a seed."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._rng = random.Random(scenario.seed * 104729 + 1)

    def traces(self, traces: Iterable[Trace]) -> ExportTraceServiceRequest:
        """Return the spans of requests, grouped by service and version."""
        by_resource: dict[tuple[str, str], list[OtlpSpan]] = defaultdict(list)
        for trace in traces:
            origin = _nanos(trace.started_at)
            for span in trace.spans:
                if not self._lost(span, trace.started_at):
                    by_resource[self._runs(span, trace)].append(_otlp_span(span, origin))
        request = ExportTraceServiceRequest()
        for resource, spans in by_resource.items():
            scoped = request.resource_spans.add(resource=_resource(*resource)).scope_spans.add(scope=SCOPE)
            scoped.spans.extend(spans)
        return request

    def logs(self, traces: Iterable[Trace]) -> ExportLogsServiceRequest:
        """Return the log records of requests, with the ids of the spans they were written in."""
        by_resource: dict[tuple[str, str], list[LogRecord]] = defaultdict(list)
        for trace in traces:
            origin = _nanos(trace.started_at)
            for span in trace.spans:
                if not span.client and not self._lost(span, trace.started_at):
                    by_resource[self._runs(span, trace)].extend(self._span_logs(span, origin))
        request = ExportLogsServiceRequest()
        for resource, records in by_resource.items():
            scoped = request.resource_logs.add(resource=_resource(*resource)).scope_logs.add(scope=SCOPE)
            scoped.log_records.extend(records)
        return request

    def metrics(self, start: datetime, end: datetime) -> ExportMetricsServiceRequest:
        """Return the resource metrics of every service for each whole interval that begins in the range."""
        request = ExportMetricsServiceRequest()
        interval = METRIC_INTERVAL.total_seconds()
        at = datetime.fromtimestamp(-(-start.timestamp() // interval) * interval, tz=start.tzinfo)
        while at < end:
            for service in world.SERVICES:
                dead = self.scenario.cause == sc.DEAD_DEPENDENCY and self.scenario.broken(service, at)
                if not dead:
                    request.resource_metrics.append(self._resource_metrics(service, at))
            at += METRIC_INTERVAL
        return request

    def _runs(self, span: Span, trace: Trace) -> tuple[str, str]:
        return span.service, self.scenario.version(span.service, trace.started_at)

    def _lost(self, span: Span, at: datetime) -> bool:
        """A service that is down sends nothing."""
        return self.scenario.cause == sc.DEAD_DEPENDENCY and self.scenario.broken(span.service, at)

    def _span_logs(self, span: Span, origin: int) -> list[LogRecord]:
        end = origin + int((span.start_ms + span.duration_ms) * 1e6)
        records = []
        if span.error:
            records.append(_error_record(span, end))
        elif self._rng.random() < INFO_LOG_SHARE:
            body = f"{span.name} served in {span.duration_ms:.1f} ms for user {self._rng.randrange(10**6)}"
            records.append(_record(span, end, INFO, body))
        if span.service == self.scenario.noisy and self._rng.random() < 0.3:
            body = f"cache miss for key item:{self._rng.randrange(10**8):x}, falling back to origin"
            records.append(_record(span, end, WARN, body))
        return records

    def _resource_metrics(self, service: str, at: datetime) -> ResourceMetrics:
        cpu, memory = self._rng.uniform(0.12, 0.30), self._rng.uniform(0.42, 0.50)
        if service == self.scenario.noisy:
            cpu = self._rng.uniform(0.45, 0.80)
        if self.scenario.cause == sc.CPU_STARVATION and self.scenario.broken(service, at):
            cpu = self._rng.uniform(0.97, 1.0)
        metrics = ResourceMetrics(resource=_resource(service, self.scenario.version(service, at)))
        scoped = metrics.scope_metrics.add(scope=SCOPE)
        scoped.metrics.append(_gauge("container.cpu.utilization", cpu, at))
        scoped.metrics.append(_gauge("container.memory.utilization", memory, at))
        return metrics


def _nanos(at: datetime) -> int:
    return int(at.timestamp() * 1e6) * 1000


def _otlp_span(span: Span, origin: int) -> OtlpSpan:
    start = origin + int(span.start_ms * 1e6)
    status = Status(code=Status.STATUS_CODE_ERROR, message=span.error) if span.error else Status()
    return OtlpSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        name=span.name,
        kind=OtlpSpan.SPAN_KIND_CLIENT if span.client else OtlpSpan.SPAN_KIND_SERVER,
        start_time_unix_nano=start,
        end_time_unix_nano=start + int(span.duration_ms * 1e6),
        attributes=_span_attributes(span),
        status=status,
    )


def _span_attributes(span: Span) -> list[KeyValue]:
    dependency = world.DEPENDENCIES.get(span.target)
    if dependency is not None and dependency.kind == world.DATABASE:
        return _attributes(
            db__namespace=dependency.name,
            db__query__summary=dependency.operation,
            db__system__name=dependency.system,
            server__address=dependency.address,
        )
    method, _, route = span.name.partition(" ")
    status = 500 if span.error else 200
    if span.client:
        return _attributes(
            http__request__method=method, http__response__status_code=status, server__address=span.target
        )
    return _attributes(http__request__method=method, http__response__status_code=status, http__route=route)


def _record(span: Span, at: int, severity: int, body: str, **attributes: str) -> LogRecord:
    return LogRecord(
        time_unix_nano=at,
        observed_time_unix_nano=at,
        severity_number=severity,  # type: ignore[arg-type]  # the enum's values are plain integers
        severity_text=SEVERITY_TEXT[severity],
        body=_any(body),
        attributes=_attributes(**attributes),
        trace_id=span.trace_id,
        span_id=span.span_id,
    )


def _error_record(span: Span, at: int) -> LogRecord:
    kind, _, message = span.error.partition(": ")
    exception = {"exception__type": kind.replace(" ", ""), "exception__message": message or kind}
    return _record(span, at, ERROR, f"{span.name} failed: {span.error}", **exception)


def _gauge(name: str, value: float, at: datetime) -> Metric:
    point = NumberDataPoint(time_unix_nano=_nanos(at), as_double=value)
    return Metric(name=name, unit="1", gauge=Gauge(data_points=[point]))
