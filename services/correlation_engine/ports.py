"""What the engine needs from outside."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished

from services.correlation_engine.domain.model import Change, Telemetry
from services.correlation_engine.domain.schedule import OpenIncident


class TelemetryStore(Protocol):
    """The one-minute rollups."""

    async def load(self, tenant: str, start: datetime, end: datetime, hurried: bool = False) -> Telemetry:
        """Return all of a tenant's telemetry of a time, deploys excepted; hurried, less what takes long to read.

        Raises Unavailable.
        """
        ...


class Deploys(Protocol):
    """What changed."""

    async def between(self, tenant: str, start: datetime, end: datetime) -> tuple[Change, ...]:
        """Return the deploys that touched a time; raises Unavailable."""
        ...


class Environments(Protocol):
    """Where an outage is."""

    async def of(self, incident: OpenIncident, now: datetime) -> tuple[str, ...]:
        """Return the environments an outage is in, most of it first; none when that is not known and not assumed."""
        ...


class Incidents(Protocol):
    """What is open, and what was said of it."""

    async def open(self, tenant: str) -> list[OpenIncident]:
        """Return a tenant's incidents that are not resolved; raises Unavailable, or InvalidInput when refused."""
        ...

    async def latest(self, incident: OpenIncident) -> HypothesesPublished | None:
        """Return the analysis stored last, None before the first; raises Unavailable."""
        ...


class Publisher(Protocol):
    """Where analyses go."""

    async def publish(self, analysis: HypothesesPublished) -> None:
        """Write an analysis and return once it is safe; raises Unavailable."""
        ...
