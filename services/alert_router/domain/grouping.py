"""A group's clock: when it is next looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.alert_router.domain.route import Route


@dataclass(frozen=True, slots=True)
class Clock:
    """When a group is next flushed, and whether it has ever been."""

    next_flush_at: datetime
    flushed: bool = False


def on_alert(clock: Clock | None, starts_at: datetime, now: datetime, route: Route) -> Clock:
    """Return a group's clock once an alert has joined it.

    A new group waits `group_wait` for others to join. An alert that has been going on for longer than that, before the
    group was ever flushed, has waited enough.
    """
    clock = clock or Clock(now + route.group_wait)
    waited = now - starts_at > route.group_wait
    return Clock(now) if waited and not clock.flushed else clock


def on_flush(now: datetime, route: Route) -> Clock:
    """Return a group's clock after a flush, whether it was told of or not."""
    return Clock(now + route.group_interval, flushed=True)
