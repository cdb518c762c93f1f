"""Whether a flush of a group tells anything that was not told before: Alertmanager's deduplication table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


@dataclass(frozen=True, slots=True)
class Entry:
    """What the last notification of a group said: fingerprints firing, fingerprints resolved, and when.

    `silent` are those of both that had no data.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    at: datetime
    silent: frozenset[str] = frozenset()


class Decision(Enum):
    """Why a group is told now, or why not."""

    FIRST_NOTIFICATION = "first_notification"
    NEW_ALERTS = "new_alerts"
    NEW_RESOLVED = "new_resolved"
    ALL_RESOLVED = "all_resolved"
    REPEAT_INTERVAL = "repeat_interval"
    DATA_CHANGED = "data_changed"
    NEVER_FIRED = "never_fired"
    NOTHING_FIRING = "nothing_firing"
    UNCHANGED = "unchanged"

    @property
    def notify(self) -> bool:
        """Tell whether the group is told."""
        return self not in {Decision.NEVER_FIRED, Decision.NOTHING_FIRING, Decision.UNCHANGED}


def decide(
    entry: Entry | None,
    firing: Collection[str],
    resolved: Collection[str],
    now: datetime,
    repeat_interval: timedelta,
    send_resolved: bool = True,
) -> Decision:
    """Return whether and why the alerts of a group, by fingerprint, are told at the tick `now`."""
    if entry is None:
        return Decision.FIRST_NOTIFICATION if firing else Decision.NEVER_FIRED
    if not entry.firing.issuperset(firing):
        return Decision.NEW_ALERTS if entry.firing else Decision.FIRST_NOTIFICATION
    if not firing:
        return Decision.ALL_RESOLVED if entry.firing else Decision.NOTHING_FIRING
    if send_resolved and not entry.resolved.issuperset(resolved):
        return Decision.NEW_RESOLVED
    return Decision.REPEAT_INTERVAL if entry.at < now - repeat_interval else Decision.UNCHANGED
