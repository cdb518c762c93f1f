"""Settings of the trace consumer."""

from pydantic import Field

from libs.messaging.topics import OTEL_TRACES
from libs.runtime.ingest import IngestSettings


class Settings(IngestSettings):
    """Where the spans are and how they are batched."""

    health_port: int = Field(default=9103, ge=0, le=65535)
    otel_traces_topic: str = OTEL_TRACES.name
    """The topic of the spans."""
    edge_seconds: float = Field(default=5.0, gt=0, le=300)
    """How often new minutes of calls between services are computed."""
