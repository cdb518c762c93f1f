"""What the detector needs of the world."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.anomaly_detector.domain.alerts import ServiceAlert
from services.anomaly_detector.domain.anomalies import Anomaly
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.domain.drop import Requests
from services.anomaly_detector.domain.rules import Rule


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One service of one tenant."""

    tenant: str
    service: str


class Rollups(Protocol):
    """Requests that services answered, by minute. All raise Unavailable when the database is down."""

    async def since(self, tenants: Collection[str], start: datetime) -> Mapping[Target, Traffic]:
        """Return all traffic from a minute on, up to now."""
        ...

    async def minutes(
        self, tenants: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Target, Sequence[Traffic]]:
        """Return the traffic of each minute from `start` to before `end`, minutes without traffic left out."""
        ...

    async def requests(self, tenants: Collection[str], start: datetime, end: datetime) -> Mapping[str, Requests]:
        """Return the requests of each service in each minute from `start` to before `end`, by tenant."""
        ...


class Announcer(Protocol):
    """Puts anomalies on `anomalies.events`, and alerts on `alerts.events`."""

    async def send(self, anomalies: Sequence[Anomaly], alerts: Sequence[ServiceAlert], now: datetime) -> None:
        """Return once the broker has acknowledged everything; raises DeliveryFailed.

        What is sent again after a failure keeps the identity of its event, so that a reader can tell.
        """
        ...

    async def unfinished(self, rules: Mapping[str, Rule]) -> Sequence[Anomaly]:
        """Return the anomalies told to have begun and not to have ended, of the rules given; raises Unavailable."""
        ...
