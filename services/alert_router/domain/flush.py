"""One flush of one group: what is told, what is remembered, what is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.alert_router.domain.alert import Alert
from services.alert_router.domain.dedup import Decision, Entry, decide
from services.alert_router.domain.grouping import Clock, on_flush
from services.alert_router.domain.labels import order
from services.alert_router.domain.route import Route


@dataclass(frozen=True, slots=True)
class Flush:
    """The outcome. `clock` is None when nothing is left to wait for and the group ends.

    `silent` has, by fingerprint, since when there is no data of an alert; `awaited` are heartbeats that come as they
    should.
    """

    decision: Decision
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    entry: Entry | None
    clock: Clock | None
    silent: Mapping[str, datetime] = field(default_factory=dict)
    awaited: frozenset[str] = frozenset()

    @property
    def gone(self) -> tuple[Alert, ...]:
        """Return the alerts that leave the group: all that ended, and all when the group ends."""
        stays = self.silent.keys() | self.awaited if self.clock else ()
        return tuple(a for a in self.resolved if a.fingerprint not in stays)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Return all alerts of the group, firing first."""
        return self.firing + self.resolved


def flush(alerts: Iterable[Alert], entry: Entry | None, now: datetime, route: Route) -> Flush:
    """Return the outcome of looking at a group at the tick `now`; `entry` is what was last told of it."""
    listed = sorted(alerts, key=lambda a: order(a.labels))
    firing = tuple(a for a in listed if not a.resolved_at(now))
    resolved = tuple(a for a in listed if a.resolved_at(now))
    told = Entry(frozenset(a.fingerprint for a in firing), frozenset(a.fingerprint for a in resolved), now)
    decision = decide(entry, told.firing, told.resolved, now, route.repeat_interval)
    return Flush(
        decision, firing, resolved, told if decision.notify else entry, on_flush(now, route) if firing else None
    )
