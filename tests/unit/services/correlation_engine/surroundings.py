"""What an engine stands among in tests: its ports in memory, on a scenario of the shop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.incident.v1.incident_events_pb2 import (
    IncidentOpened,
)
from incidentscope.incident.v1.incident_pb2 import Incident

from libs.kernel.clock import ManualClock
from libs.kernel.errors import Unavailable
from services.correlation_engine.domain.model import Change, Grid, Telemetry
from services.correlation_engine.domain.schedule import OpenIncident
from services.correlation_engine.handlers import Correlator, open_incident
from tests.unit.services.correlation_engine import world


@dataclass
class Surroundings:
    """All four ports in memory."""

    scenario: world.Scenario
    clock: ManualClock
    listed: list[OpenIncident] = field(default_factory=list)
    published: list[HypothesesPublished] = field(default_factory=list)
    stored: HypothesesPublished | None = None
    failures: list[Exception] = field(default_factory=list)
    deploys_down: bool = False
    loads: int = 0
    hurried: list[bool] = field(default_factory=list)

    async def load(self, tenant: str, start: datetime, end: datetime, hurried: bool = False) -> Telemetry:
        self.loads += 1
        self.hurried.append(hurried)
        if self.failures:
            raise self.failures.pop()
        if tenant != "acme":
            return Telemetry(Grid(start, end))
        return replace(self.scenario.telemetry, changes=())

    async def between(self, tenant: str, start: datetime, end: datetime) -> tuple[Change, ...]:
        if self.deploys_down:
            raise Unavailable("deploy_normalizer does not answer")
        return tuple(c for c in self.scenario.telemetry.changes if tenant == "acme" and start <= c.started_at < end)

    async def open(self, tenant: str) -> list[OpenIncident]:
        return [i for i in self.listed if i.tenant == tenant]

    async def latest(self, incident: OpenIncident) -> HypothesesPublished | None:
        return self.stored if incident.tenant == "acme" else None

    async def publish(self, analysis: HypothesesPublished) -> None:
        self.published.append(analysis)


def engine(around: Surroundings) -> Correlator:
    return Correlator(around, around, around, around, around.clock)


def opened(around: Surroundings, tenant: str = "acme", incident_id: str = "i-1") -> IncidentOpened:
    incident = Incident(id=incident_id, tenant_id=tenant, services=around.scenario.affected)
    incident.started_at.FromDatetime(around.scenario.started_at)
    incident.opened_at.FromDatetime(around.clock.now())
    return IncidentOpened(incident=incident)


def go(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def restarted(around: Surroundings, age: timedelta) -> OpenIncident:
    incident = open_incident(opened(around).incident)
    around.listed = [incident]
    around.clock.advance(age)
    return incident


def stamp(instant: datetime) -> Timestamp:
    value = Timestamp()
    value.FromDatetime(instant)
    return value
