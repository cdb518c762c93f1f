"""When an open incident is analysed: at once, then again as evidence grows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

OFFSETS = tuple(timedelta(seconds=s) for s in (0, 15, 30, 60, 120, 300))
LOOK_BACK = timedelta(minutes=80)  # an hour of baseline, a quarter for the onset, and room for the guard
CATCH_UP = timedelta(seconds=15)
LONGEST = timedelta(minutes=30)  # later telemetry says more about recovery than about the cause


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """What the analysis needs to know of an incident. `services` are those that alerted.

    Of one that was `reopened`, or that a new trouble was added to, both times are those of that: it is a new outage to
    look at.
    """

    tenant: str
    id: str
    services: tuple[str, ...]
    started_at: datetime
    opened_at: datetime
    reopened: bool = False


def next_due(incident: OpenIncident, done_at: datetime | None, behind: bool = False) -> datetime | None:
    """Return when to analyse next, given when it was last done; None after the last step.

    An analysis for which telemetry was `behind` is repeated soon, past the last step too.
    """
    steps = [incident.opened_at + offset for offset in OFFSETS]
    if behind and done_at is not None and done_at < incident.opened_at + LONGEST:
        steps = sorted([*steps, done_at + CATCH_UP])
    return next((step for step in steps if done_at is None or step > done_at), None)


def telemetry_range(incident: OpenIncident, now: datetime) -> tuple[datetime, datetime]:
    """Return the time to read telemetry of: from 80 minutes before the alert to now, at most half an hour after it."""
    start = (min(incident.started_at, now) - LOOK_BACK).replace(second=0, microsecond=0)
    return start, min(now, incident.started_at + LONGEST) if now > incident.started_at else now
