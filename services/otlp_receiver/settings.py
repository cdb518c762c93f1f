"""Settings of the OTLP receiver."""

from pydantic import AliasChoices, Field, field_validator

from libs.messaging.topics import MAX_MESSAGE_BYTES, OTEL_LOGS, OTEL_METRICS, OTEL_TRACES
from libs.runtime.settings import ServiceSettings
from services.otlp_receiver.origins import Origins

HEADROOM = 64 * 1024  # of a Kafka message, for its headers and for those a dead letter gets


class Settings(ServiceSettings):
    """Ports, topics and bounds. OTLP/HTTP, health and metrics share one port."""

    health_port: int = Field(
        default=4318, ge=0, le=65535, validation_alias=AliasChoices("HEALTH_PORT", "OTLP_HTTP_PORT")
    )
    """The port of OTLP/HTTP, health and metrics."""
    otlp_grpc_port: int = Field(default=4317, ge=0, le=65535)
    """The port of OTLP/gRPC."""
    otel_logs_topic: str = OTEL_LOGS.name
    """The topic log records are published to."""
    otel_metrics_topic: str = OTEL_METRICS.name
    """The topic metric points are published to."""
    otel_traces_topic: str = OTEL_TRACES.name
    """The topic spans are published to."""
    otlp_max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, le=MAX_MESSAGE_BYTES - HEADROOM)
    """The largest request body that is taken, as it comes."""
    otlp_max_decoded_bytes: int = Field(default=MAX_MESSAGE_BYTES - HEADROOM, ge=1024, le=MAX_MESSAGE_BYTES - HEADROOM)
    """The largest request body that is taken, decompressed."""
    otlp_allowed_origins: str = ""
    """Whose pages may send OTLP/HTTP from browsers: `https://shop.example.com, https://*.example.com`, `*` for all."""
    otlp_json_processes: int = Field(default=2, ge=1, le=64)
    """How many processes read large OTLP/JSON bodies beside the one that takes requests; started when one comes."""
    otlp_delivery_seconds: float = Field(default=8.0, gt=0, le=120)
    """How long a request waits for Kafka before the exporter is told to come back (exporters give up after 10 s)."""

    @field_validator("otlp_allowed_origins")
    @classmethod
    def _are_origins(cls, written: str) -> str:
        Origins.of(written)
        return written

    @property
    def origins(self) -> Origins:
        """Return whose pages may send from browsers."""
        return Origins.of(self.otlp_allowed_origins)
