"""Settings of the incident service, from the environment."""

from __future__ import annotations

from pydantic import Field

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings):
    """Every service's settings, and: the gRPC port, and the age in seconds from which waiting events are reported.

    `overdue_sweep_seconds` is how often tasks and postmortems are looked through for late ones.
    """

    health_port: int = Field(default=9106, ge=0, le=65535)
    incident_grpc_port: int = Field(default=50051, ge=0, le=65535)
    """The port of the gRPC service."""
    incident_flap_seconds: float = Field(default=600.0, ge=0)
    """How long after all its alerts ended an incident goes on when they fire again, rather than another be opened."""
    outbox_lagging_seconds: float = Field(default=30.0, gt=0)
    """The age from which events that wait for Kafka make `/readyz` say so."""
    overdue_sweep_seconds: float = Field(default=30.0, gt=0)
    """How often tasks and postmortems are looked through for late ones."""
