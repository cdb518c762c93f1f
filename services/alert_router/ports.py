"""What the router needs of the world."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from libs.messaging.cloudevents import CloudEvent
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.dedup import Entry
from services.alert_router.domain.grouping import Clock
from services.alert_router.domain.route import Group


class AlertPublisher(Protocol):
    """Puts received alerts on `alerts.events`."""

    async def publish(self, tenant: str, alerts: Sequence[Alert], now: datetime) -> None:
        """Return once the broker has acknowledged every alert; raises DeliveryFailed."""
        ...


@dataclass(frozen=True, slots=True)
class DueGroup:
    """A group whose flush is due, locked: nobody else changes it until the transaction ends."""

    group: Group
    alerts: tuple[Alert, ...]
    entry: Entry | None


class Session(Protocol):
    """One transaction of one tenant. Groups are locked before alerts, always."""

    async def first_time(self, event_id: str) -> bool:
        """Record an event; False when it was acted on before."""
        ...

    async def join(self, group: Group) -> Clock | None:
        """Lock a group, creating it if need be; its clock is None when it is new."""
        ...

    async def alert(self, fingerprint: str) -> Alert | None:
        """Return an alert as last kept."""
        ...

    async def keep(self, alert: Alert, group: Group, clock: Clock) -> None:
        """Keep an alert as a member of a group, and the group's clock."""
        ...

    async def sender_heard(self, alert: Alert) -> datetime | None:
        """Return when the sender of an alert last sent any; None when it cannot be told from other senders."""
        ...

    async def due(self, group_id: str, now: datetime) -> DueGroup | None:
        """Lock a group if its flush is due and nobody else is at it."""
        ...

    async def flushed(self, group: Group, gone: Sequence[Alert], entry: Entry | None, clock: Clock | None) -> None:
        """Keep the outcome of a flush: members gone, what was told, the clock; without a clock the group ends."""
        ...

    async def tell(self, group: Group, event: CloudEvent) -> None:
        """Add a notification to the transaction, as its last statement."""
        ...


class AlertStore(Protocol):
    """Alerts, groups and the notification log."""

    def session(self, tenant: str) -> AbstractAsyncContextManager[Session]:
        """Open a transaction; raises Unavailable when the database is down."""
        ...

    async def due_groups(self, tenant: str, now: datetime) -> list[str]:
        """Return the ids of groups whose flush is due, the longest due first."""
        ...

    async def forget(self, tenant: str, now: datetime, alerts_after: timedelta, log_after: timedelta) -> None:
        """Delete alerts that ended and groups told of longer ago than that, unless a group still has them."""
        ...
