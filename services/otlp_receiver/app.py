"""Puts the receiver together."""

from __future__ import annotations

from prometheus_client import REGISTRY

from libs.access.identity import Requirement, Role, Scope
from libs.runtime.access import open_access
from libs.runtime.grpc_server import serve_grpc
from libs.runtime.lifecycle import Lifecycle
from services.otlp_receiver.adapters.checkers import Checkers
from services.otlp_receiver.adapters.grpc_door import SERVICES, GrpcDoor
from services.otlp_receiver.adapters.http_door import HttpDoor
from services.otlp_receiver.adapters.kafka_publisher import KafkaPublisher
from services.otlp_receiver.domain import Signal
from services.otlp_receiver.handlers import Receiver, ReceiverMetrics
from services.otlp_receiver.settings import Settings

SERVICE = "otlp_receiver"


async def start(lifecycle: Lifecycle, settings: Settings) -> None:
    """Open both doors."""
    tenants = await open_access(lifecycle)
    topics = {
        Signal.LOGS: settings.otel_logs_topic,
        Signal.METRICS: settings.otel_metrics_topic,
        Signal.TRACES: settings.otel_traces_topic,
    }
    publisher = KafkaPublisher(settings.kafka_bootstrap, topics, settings.otlp_delivery_seconds)
    lifecycle.thread("acknowledgements", publisher.poll, publisher.stop)
    lifecycle.background("probe", publisher.probe)
    lifecycle.health.check("kafka", publisher.problem)
    checkers = Checkers(settings.otlp_json_processes)
    lifecycle.push(checkers.close, "checkers")
    receiver = Receiver(publisher, checkers, ReceiverMetrics(REGISTRY))
    bounds = (settings.otlp_max_body_bytes, settings.otlp_max_decoded_bytes)
    http = HttpDoor(receiver, tenants, *bounds, settings.origins)
    await lifecycle.serve_http(http.app(lifecycle.health.routes()), settings.health_port)
    limit = [("grpc.max_receive_message_length", settings.otlp_max_body_bytes)]
    given = dict.fromkeys(SERVICES.values(), Requirement(Role.SERVICE, Scope.TELEMETRY_WRITE))
    names = list(SERVICES.values())
    door, port = GrpcDoor(receiver), settings.otlp_grpc_port
    await serve_grpc(lifecycle, port, tenants, door.add_to, names, limit, given, tell_compressions=True)
