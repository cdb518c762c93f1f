"""What an incident is about: of alerts that fire long and alerts that fire anew, what is worst and newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.incident_service.domain.alert_group import Alert, AlertGroup, readable
from services.incident_service.domain.flapping import FLAPS
from services.incident_service.domain.model import TITLE_CHARS, Incident, shorten

TOGETHER = timedelta(minutes=30)  # what begins within is one trouble: rules wait some minutes before they fire
LONG = timedelta(hours=6)  # what has fired for longer than that before others as bad is not what they are about
WORSE_AFTER = timedelta(minutes=5)  # what is worse, by another name, is looked at anew from then on


@dataclass(frozen=True, slots=True)
class Onset:
    """The newest trouble of an incident: when it began, and when it was told."""

    at: datetime
    seen_at: datetime


def about(firing: Sequence[Alert]) -> list[Alert]:
    """Return the alerts of the trouble that is worst and newest, the one that names it first."""
    if not firing:
        return []
    grade = max(a.severity for a in firing)
    worst = [a for a in firing if a.severity == grade]
    newest = max(a.starts_at for a in worst)
    began = min(a.starts_at for a in worst if newest - a.starts_at <= LONG)
    trouble = (a for a in firing if a.starts_at >= (began if a.severity == grade else began - TOGETHER))
    return sorted(trouble, key=lambda a: (-a.severity, a.starts_at, a.name, a.service))


def start(firing: Sequence[Alert]) -> datetime:
    """Return when the trouble began that is worst and newest; raises ValueError when nothing fires."""
    return min(a.starts_at for a in about(firing))


def untold(firing: Sequence[Alert], last: Incident | None) -> list[Alert]:
    """Return the alerts that a person did not know of who resolved the last incident; all, when none did so."""
    ended_at = last.resolved_at if last else None
    if last is None or ended_at is None:
        return list(firing)
    return [a for a in firing if a.starts_at > ended_at or not last.alerts.get(a.fingerprint)] or list(firing)


def onset(current: Incident, fresh: Sequence[Alert], standing: Sequence[Alert], now: datetime) -> Onset | None:
    """Return the new trouble that alerts tell of; None when they belong to what the incident is about already.

    They are told apart by their start, and sooner when they are worse than all that stands and of another name.
    """
    trouble = about(fresh)
    if not trouble:
        return None
    began, since = start(fresh), start(fresh) - (current.onset_at or current.started_at)
    worse = trouble[0].severity > max((a.severity for a in standing), default=current.severity)
    named = {a.name for a in standing}
    if since > TOGETHER or (since > WORSE_AFTER and worse and trouble[0].name not in named):
        return Onset(began, now)
    return None


def started(current: Incident, firing: Sequence[Alert], fresh: Sequence[Alert]) -> datetime:
    """Return when an incident began once alerts were added: with what it is about from now on."""
    lead = about(firing)[0] if firing else None
    if lead in fresh and start(firing) > current.started_at:
        return start(firing)
    earlier = (a.starts_at for a in fresh if a.starts_at >= current.started_at - TOGETHER)
    return min([current.started_at, *earlier])


def title(group: AlertGroup, about_these: Sequence[Alert] = (), flaps: int = 0) -> str:
    """Return what a person wants to read first: where, what, and how much more."""
    worst = about(about_these or group.firing)[0]
    more = len(group.firing) - 1
    where = worst.service or group.labels.get("service") or group.labels.get("cluster") or ""
    counted = f" (+{more} more alert{'s' if more > 1 else ''})" if more else ""
    counted += " (flapping)" if flaps >= FLAPS else ""
    what = f"{where}: {readable(worst.name)}" if where else readable(worst.name)
    return shorten(what, TITLE_CHARS - len(counted)) + counted
