"""Puts the receiver together."""

from __future__ import annotations

from prometheus_client import REGISTRY

from libs.access.tenants import TenantRegistry
from libs.runtime.grpc_server import serve_grpc
from libs.runtime.lifecycle import Lifecycle
from services.otlp_receiver.adapters.grpc_door import SERVICES, GrpcDoor
from services.otlp_receiver.adapters.http_door import HttpDoor
from services.otlp_receiver.adapters.kafka_publisher import KafkaPublisher
from services.otlp_receiver.domain import Signal
from services.otlp_receiver.handlers import Receiver, ReceiverMetrics
from services.otlp_receiver.settings import Settings

SERVICE = "otlp_receiver"


async def start(lifecycle: Lifecycle, settings: Settings) -> None:
    """Open both doors."""
    tenants = TenantRegistry(settings.tenants_file, settings.anonymous_tenant, settings.trust_tenant_header)
    topics = {
        Signal.LOGS: settings.otel_logs_topic,
        Signal.METRICS: settings.otel_metrics_topic,
        Signal.TRACES: settings.otel_traces_topic,
    }
    publisher = KafkaPublisher(settings.kafka_bootstrap, topics, settings.otlp_delivery_seconds)
    lifecycle.thread("acknowledgements", publisher.poll, publisher.stop)
    lifecycle.background("probe", publisher.probe)
    lifecycle.health.check("kafka", publisher.problem)
    receiver = Receiver(publisher, ReceiverMetrics(REGISTRY))
    http = HttpDoor(receiver, tenants, settings.otlp_max_body_bytes, settings.otlp_max_decoded_bytes)
    await lifecycle.serve_http(http.app(lifecycle.health.routes()), settings.health_port)
    limit = [("grpc.max_receive_message_length", settings.otlp_max_body_bytes)]
    await serve_grpc(
        lifecycle, settings.otlp_grpc_port, tenants, GrpcDoor(receiver).add_to, list(SERVICES.values()), limit
    )
