"""What alert groups do to incidents: one unresolved incident per group, opened, widened and ended by its flushes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.incident_service.domain import flapping
from services.incident_service.domain.lifecycle import MERGED, clock, ended, merged_name, postmortem_due
from services.incident_service.domain.model import (
    TITLE_CHARS,
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Severity,
    Status,
    changed,
    shorten,
    unique,
)
from services.incident_service.domain.records import AlertState, Due, DueKind, SeenAlert

SOURCE = "alerts.notifications"
ACTOR = "alert_router"
NAMED_ALERTS = 5  # spelled out in one timeline entry; the rest is counted
NOT_RECOVERY = (
    "Whether it goes on is not known: the incident stays open until there is data again or somebody resolves it"
)
RUNBOOK = ("runbook_url", "runbook")
DASHBOARD = ("dashboard_url", "dashboard")
SEEN_ALERTS = 500  # of one incident, kept in their own words


class Flush(StrEnum):
    """Why the group was flushed."""

    FIRST_NOTIFICATION = "first_notification"
    NEW_ALERTS = "new_alerts"
    NEW_RESOLVED = "new_resolved"
    ALL_RESOLVED = "all_resolved"
    REPEAT_INTERVAL = "repeat_interval"
    DATA_CHANGED = "data_changed"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a group. `severity` is already the incident's scale.

    One that has `no_data_since` does not fire and has not ended: nobody knows.
    """

    fingerprint: str
    name: str
    service: str
    severity: Severity
    firing: bool
    starts_at: datetime
    summary: str = ""
    url: str = ""
    no_data_since: datetime | None = None
    ends_at: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> AlertState:
        """Return what is known of it."""
        if self.firing:
            return AlertState.FIRING
        return AlertState.NO_DATA if self.no_data_since else AlertState.RESOLVED

    @property
    def ended(self) -> bool:
        """Tell whether the condition is known to have ended."""
        return not self.firing and self.no_data_since is None


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """One flush of a group: every alert it has, and the receiver it was routed to."""

    tenant: str
    key: str
    labels: Mapping[str, str]
    flush: Flush
    alerts: Sequence[Alert]
    receiver: str = ""

    @property
    def firing(self) -> list[Alert]:
        """Return the firing alerts, worst and oldest first."""
        alerts = [a for a in self.alerts if a.firing]
        return sorted(alerts, key=lambda a: (-a.severity, a.starts_at, a.name, a.service))

    @property
    def silent(self) -> list[Alert]:
        """Return the alerts there is no data of."""
        return [a for a in self.alerts if a.no_data_since]


@dataclass(frozen=True, slots=True)
class Before:
    """The latest incident of a group that is over, and how long after its end it goes on when its alerts fire again."""

    last: Incident | None = None
    flaps_within: timedelta = timedelta()


def apply_group(
    current: Incident | None, group: AlertGroup, incident_id: str, now: datetime, before: Before = Before()
) -> Decision:
    """Open, update or resolve the group's incident; `current` is the unresolved one, `incident_id` for a new one.

    Alerts that stop or fall silent while others go on open nothing: then a person has resolved the incident early.
    """
    if group.firing and current is None:
        if group.flush is Flush.NEW_RESOLVED or (group.flush is Flush.DATA_CHANGED and group.silent):
            return Decision(Reason.NOTHING_OPEN)
        if before.last and flapping.goes_on(before.last, ACTOR, now, before.flaps_within):
            return _go_on(before.last, group, now)
        return _open(group, incident_id, now)
    if current is None:
        return Decision(Reason.NOTHING_OPEN)
    if group.firing or not _all_over(current, group):
        return _update(current, group, now)
    return _end(current, group, now)


def seen(incident: Incident, group: AlertGroup, now: datetime) -> list[SeenAlert]:
    """Return a group's alerts as an incident keeps them: what goes on first, as many as a person could read."""
    order = [*group.firing, *group.silent, *(a for a in group.alerts if a.ended)]
    return [
        SeenAlert(
            incident_id=incident.id,
            name=_name(incident, group, alert),
            alert_name=alert.name,
            service=alert.service,
            severity=int(alert.severity),
            state=alert.state,
            starts_at=alert.starts_at,
            ended_at=alert.ends_at if alert.ended else None,
            no_data_since=alert.no_data_since,
            updated_at=now,
            labels=alert.labels,
            annotations=alert.annotations,
            generator_url=alert.url,
        )
        for alert in order[:SEEN_ALERTS]
    ]


def web_address(annotations: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first of these annotations that is a web address; empty when none is."""
    values = (annotations.get(name, "").strip() for name in names)
    return next((value for value in values if value.lower().startswith(("http://", "https://"))), "")


def title(group: AlertGroup) -> str:
    """Return what a person wants to read first: where, what, and how much more."""
    worst = group.firing[0]
    more = len(group.firing) - 1
    where = worst.service or group.labels.get("service") or group.labels.get("cluster") or ""
    counted = f" (+{more} more alert{'s' if more > 1 else ''})" if more else ""
    what = f"{where}: {readable(worst.name)}" if where else readable(worst.name)
    return shorten(what, TITLE_CHARS - len(counted)) + counted


def readable(name: str) -> str:
    """Return an alert name as words: `HighErrorRate` and `high_error_rate` become `High error rate`."""
    if " " in name.strip():
        return name.strip()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_-]+", " ", name).strip()
    words = [w if w.isupper() and len(w) > 1 else w.lower() for w in spaced.split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:] if text else "Unnamed alert"


def _open(group: AlertGroup, incident_id: str, now: datetime) -> Decision:
    firing = group.firing
    incident = Incident(
        id=incident_id,
        tenant=group.tenant,
        title=title(group),
        status=Status.OPEN,
        severity=firing[0].severity,
        services=_services(group),
        group_key=group.key,
        started_at=min(a.starts_at for a in firing),
        opened_at=now,
        alerts={a.fingerprint: not a.ended for a in group.alerts},
        silent={a.fingerprint: a.no_data_since for a in group.alerts if a.no_data_since},
    )
    since = incident.started_at.astimezone(UTC).strftime("%H:%M:%S UTC")
    opened = Entry(EntryKind.STATE_CHANGE, now, ACTOR, SOURCE, f"Opened: alerts fire since {since}")
    entries = (opened, *_route(group, now), _alert_entry("Firing", firing, now))
    return Decision(Reason.OPENED_BY_ALERTS, incident, entries, Change.OPENED)


def _go_on(last: Incident, group: AlertGroup, now: datetime) -> Decision:
    again = _widened(flapping.taken_up(last, now), group)
    told = Entry(EntryKind.STATE_CHANGE, now, ACTOR, SOURCE, flapping.told(again, last, now))
    entries = (told, _alert_entry("Firing", group.firing, now))
    forget = Due(DueKind.POSTMORTEM, last.id, None)
    return Decision(Reason.FLAPPED, again, entries, Change.REOPENED, records=(forget,))


def _route(group: AlertGroup, now: datetime) -> tuple[Entry, ...]:
    """Tell where the alerts were sent, when the router says so."""
    if not group.receiver:
        return ()
    labels = ", ".join(f"{name}={value}" for name, value in sorted(group.labels.items()))
    text = f"Routed to {group.receiver}" + (f", grouped by {shorten(labels, 500)}" if labels else "")
    return (Entry(EntryKind.ROUTE, now, ACTOR, SOURCE, text),)


def _all_over(current: Incident, group: AlertGroup) -> bool:
    """Tell whether the end of a group ends its incident.

    Not that of one opened by hand, nor while alerts of other groups fire, nor what was not heard: silence is no end.
    """
    if not current.group_key or group.silent:
        return False
    own = group.key == current.group_key
    ending = {_name(current, group, a) for a in group.alerts}
    others = (name for name, fires in current.alerts.items() if fires and name not in ending)
    return not any(name.startswith(MERGED) or not own for name in others)


def _name(current: Incident, group: AlertGroup, alert: Alert) -> str:
    """Return the name an alert has in an incident: its fingerprint, marked when another group brought it."""
    return alert.fingerprint if group.key == current.group_key else merged_name(group.key, alert.fingerprint)


def _names(current: Incident, group: AlertGroup) -> dict[str, bool]:
    return {_name(current, group, a): not a.ended for a in group.alerts}


def _silent(current: Incident, group: AlertGroup) -> dict[str, datetime]:
    heard = _names(current, group)
    others = {name: since for name, since in current.silent.items() if name not in heard}
    return others | {_name(current, group, a): a.no_data_since for a in group.alerts if a.no_data_since}


def _update(current: Incident, group: AlertGroup, now: datetime) -> Decision:
    entries = _told_of(current, group, now)
    if not entries:
        return Decision(Reason.NOTHING_NEW, current)
    fresh = [a for a in group.firing if current.alerts.get(_name(current, group, a)) is not True]
    started_at = min([current.started_at, *(a.starts_at for a in fresh)])
    updated = _widened(changed(current, now, started_at=started_at), group)
    return Decision(Reason.ALERTS_CHANGED, updated, entries, Change.UPDATED)


def _widened(incident: Incident, group: AlertGroup) -> Incident:
    return replace(
        incident,
        severity=max([incident.severity, *(a.severity for a in group.firing)]),
        services=unique(incident.services, _services(group)),
        alerts={**incident.alerts, **_names(incident, group)},
        silent=_silent(incident, group),
    )


def _told_of(current: Incident, group: AlertGroup, now: datetime) -> tuple[Entry, ...]:
    """Return what is new in a group, for the timeline."""
    known = {a.fingerprint: current.alerts.get(_name(current, group, a)) is True for a in group.alerts}
    was_silent = {a.fingerprint: _name(current, group, a) in current.silent for a in group.alerts}
    new = {
        "Stopped firing": [a for a in group.alerts if a.ended and known[a.fingerprint]],
        "Data again, still firing": [a for a in group.firing if known[a.fingerprint] and was_silent[a.fingerprint]],
        "Also firing": [a for a in group.firing if not known[a.fingerprint]],
    }
    entries = [_alert_entry(verb, alerts, now) for verb, alerts in new.items() if alerts]
    silent = [a for a in group.silent if known[a.fingerprint] and not was_silent[a.fingerprint]]
    return tuple(entries + ([_silence_entry(silent, now)] if silent else []))


def _silence_entry(alerts: Sequence[Alert], now: datetime) -> Entry:
    since = max(a.no_data_since for a in alerts if a.no_data_since)
    told = _alert_entry(f"No data since {clock(since)}", alerts, now)
    return replace(told, text=f"{told.text}. {NOT_RECOVERY}")


def _end(current: Incident, group: AlertGroup, now: datetime) -> Decision:
    alerts = {**current.alerts, **_names(current, group)}
    over = replace(ended(current, ACTOR, now), alerts=alerts, silent={})
    entry = Entry(EntryKind.STATE_CHANGE, now, ACTOR, SOURCE, "Resolved: all alerts of the group have ended")
    return Decision(Reason.ALERTS_RESOLVED, over, (entry,), Change.RESOLVED, records=(postmortem_due(over),))


def _services(group: AlertGroup) -> tuple[str, ...]:
    return unique((a.service for a in group.firing), [group.labels.get("service", "")])


def _alert_entry(verb: str, alerts: Sequence[Alert], now: datetime) -> Entry:
    named = "; ".join(_told(a) for a in alerts[:NAMED_ALERTS])
    rest = f"; and {len(alerts) - NAMED_ALERTS} more" if len(alerts) > NAMED_ALERTS else ""
    url = next((a.url for a in alerts if a.url), "")
    return Entry(EntryKind.ALERT, now, ACTOR, SOURCE, f"{verb}: {named}{rest}", url)


def _told(alert: Alert) -> str:
    where = f"{alert.service}: " if alert.service else ""
    why = f" ({shorten(alert.summary, 300)})" if alert.summary else ""
    return f"{where}{readable(alert.name)}{why}"
