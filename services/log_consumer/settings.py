"""Settings of the log consumer."""

from pydantic import Field

from libs.messaging.topics import OTEL_LOGS
from libs.runtime.ingest import IngestSettings


class Settings(IngestSettings):
    """Where the log records are and how they are batched."""

    health_port: int = Field(default=9101, ge=0, le=65535)
    otel_logs_topic: str = OTEL_LOGS.name
    """The topic of the log records."""
    retention_seconds: float = Field(default=3600.0, ge=1)
    """How often the retention job runs."""
