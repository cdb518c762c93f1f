"""Settings of the OTLP receiver."""

from pydantic import AliasChoices, Field

from libs.messaging.topics import MAX_MESSAGE_BYTES, OTEL_LOGS, OTEL_METRICS, OTEL_TRACES
from libs.runtime.settings import ServiceSettings

HEADROOM = 64 * 1024  # of a Kafka message, for its headers and for those a dead letter gets


class Settings(ServiceSettings):
    """Ports, topics and bounds. OTLP/HTTP, health and metrics share one port."""

    health_port: int = Field(
        default=4318, ge=0, le=65535, validation_alias=AliasChoices("HEALTH_PORT", "OTLP_HTTP_PORT")
    )
    otlp_grpc_port: int = Field(default=4317, ge=0, le=65535)
    otel_logs_topic: str = OTEL_LOGS.name
    otel_metrics_topic: str = OTEL_METRICS.name
    otel_traces_topic: str = OTEL_TRACES.name
    otlp_max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=MAX_MESSAGE_BYTES - HEADROOM)
    otlp_max_decoded_bytes: int = Field(default=MAX_MESSAGE_BYTES - HEADROOM, ge=1024, le=MAX_MESSAGE_BYTES - HEADROOM)
    otlp_json_processes: int = Field(default=2, ge=1, le=64)  # started when the first JSON of some size comes
    otlp_delivery_seconds: float = Field(default=8.0, gt=0, le=120)  # exporters give up after 10 s by default
