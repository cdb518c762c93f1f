"""Settings of the metric consumer."""

from pydantic import Field

from libs.messaging.topics import OTEL_METRICS
from libs.runtime.ingest import IngestSettings


class Settings(IngestSettings):
    """Where the metric points are and how they are batched."""

    health_port: int = Field(default=9102, ge=0, le=65535)
    otel_metrics_topic: str = OTEL_METRICS.name
    """The topic of the metric points."""
