"""A program as its users write it: spans, a log record and two metrics by the OpenTelemetry SDK. Prints the trace id.

Arguments: protocol (`grpc` or `http/protobuf`), endpoint, API key, service name.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, format_trace_id


def exporters(protocol: str, endpoint: str, key: str) -> tuple[Any, Any, Any]:
    """Return the exporters of spans, metrics and logs."""
    headers = {"x-api-key": key}
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        options: dict[str, Any] = {"endpoint": endpoint, "headers": headers, "insecure": True}
        return OTLPSpanExporter(**options), OTLPMetricExporter(**options), OTLPLogExporter(**options)
    from opentelemetry.exporter.otlp.proto.http import _log_exporter, metric_exporter, trace_exporter

    return (
        trace_exporter.OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", headers=headers),
        metric_exporter.OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", headers=headers),
        _log_exporter.OTLPLogExporter(endpoint=f"{endpoint}/v1/logs", headers=headers),
    )


def main(protocol: str, endpoint: str, key: str, service: str) -> None:
    """Tell of one request that failed."""
    resource = Resource.create({"service.name": service})
    span_exporter, metric_exporter, log_exporter = exporters(protocol, endpoint, key)
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(span_exporter))
    meters = MeterProvider([PeriodicExportingMetricReader(metric_exporter)], resource=resource)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    meter, tracer = meters.get_meter("shop"), tracers.get_tracer("shop", "1.0")
    meter.create_counter("orders").add(3)
    meter.create_gauge("container.cpu.utilization", unit="1").set(0.25)
    with tracer.start_as_current_span("GET /cart", kind=SpanKind.SERVER) as server:
        trace_id = format_trace_id(server.get_span_context().trace_id)
        with tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as client:
            client.set_attribute("peer.service", "payment")
            client.record_exception(ValueError("card refused"))
            client.set_status(Status(StatusCode.ERROR, "card refused"))
        loggers.get_logger("shop").emit(
            timestamp=time.time_ns(), severity_number=SeverityNumber.WARN, severity_text="WARN", body="card 42 refused"
        )
    for provider in (meters, loggers, tracers):
        provider.shutdown()
    sys.stdout.write(f"{trace_id}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
