"""Settings of correlation_engine."""

from __future__ import annotations

from pydantic import Field

from libs.runtime.settings import ServiceSettings
from services.correlation_engine.domain.environments import PRODUCTION


class Settings(ServiceSettings):
    """Where the engine asks for incidents and deploys, besides what every service has."""

    health_port: int = Field(default=9108, ge=0, le=65535)
    incident_grpc_target: str = "127.0.0.1:50051"
    """Where incident_service answers gRPC."""
    deploy_grpc_target: str = "127.0.0.1:50052"
    """Where deploy_normalizer answers gRPC."""
    outage_environment: str = Field(default=PRODUCTION, max_length=255)
    """The environment of an outage of which neither alerts nor telemetry name one; only deploys to it are suspects."""
