"""What alert groups do to incidents: one unresolved incident per group, opened, widened and ended by its flushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from services.incident_service.domain import flapping, trouble
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush, readable
from services.incident_service.domain.lifecycle import MERGED, clock, ended, merged_name, postmortem_due
from services.incident_service.domain.model import (
    Change,
    Decision,
    Entry,
    EntryKind,
    Incident,
    Reason,
    Status,
    changed,
    shorten,
    unique,
)
from services.incident_service.domain.records import Due, DueKind, SeenAlert

SOURCE = "alerts.notifications"
ACTOR = "alert_router"
NAMED_ALERTS = 5  # spelled out in one timeline entry; the rest is counted
NOT_RECOVERY = (
    "Whether it goes on is not known: the incident stays open until there is data again or somebody resolves it"
)
SEEN_ALERTS = 500  # of one incident, kept in their own words


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
        return _open(group, incident_id, now, before.last)
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


def _open(group: AlertGroup, incident_id: str, now: datetime, last: Incident | None) -> Decision:
    firing, fresh = group.firing, trouble.untold(group.firing, last)
    made = trouble.title(group, fresh)
    incident = Incident(
        id=incident_id,
        tenant=group.tenant,
        title=made,
        status=Status.OPEN,
        severity=trouble.about(fresh)[0].severity,
        services=unique((a.service for a in trouble.about(fresh)), _services(group)),
        group_key=group.key,
        started_at=trouble.start(fresh),
        opened_at=now,
        alerts={a.fingerprint: not a.ended for a in group.alerts},
        silent={a.fingerprint: a.no_data_since for a in group.alerts if a.no_data_since},
        made_title=made,
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
    fresh, standing = _fresh(current, group)
    onset = trouble.onset(current, fresh, standing, now)
    entries = _told_of(current, group, now, "New trouble" if onset else "Also firing")
    if not entries:
        return Decision(Reason.NOTHING_NEW, current)
    own = group.key == current.group_key
    started_at = trouble.started(current, group.firing if own else (), fresh)
    updated = _widened(changed(current, now, started_at=started_at), group)
    if onset:
        updated = replace(updated, onset_at=onset.at, onset_seen_at=onset.seen_at)
    return Decision(Reason.ALERTS_CHANGED, updated, entries, Change.UPDATED)


def _fresh(current: Incident, group: AlertGroup) -> tuple[list[Alert], list[Alert]]:
    """Return the firing alerts that are new to the incident, and those that are not."""
    known = {a.fingerprint for a in group.firing if current.alerts.get(_name(current, group, a)) is True}
    standing = [a for a in group.firing if a.fingerprint in known]
    return [a for a in group.firing if a.fingerprint not in known], standing


def _widened(incident: Incident, group: AlertGroup) -> Incident:
    widened = replace(
        incident,
        severity=max([incident.severity, *(a.severity for a in group.firing)]),
        services=unique(incident.services, _services(group)),
        alerts={**incident.alerts, **_names(incident, group)},
        silent=_silent(incident, group),
    )
    return _retitled(widened, group)


def _retitled(incident: Incident, group: AlertGroup) -> Incident:
    """Return the incident under the title that fits it now, unless a person has given it one."""
    if incident.title != incident.made_title or group.key != incident.group_key or not group.firing:
        return incident
    made = trouble.title(group, flaps=incident.flaps)
    return replace(incident, title=made, made_title=made)


def _told_of(current: Incident, group: AlertGroup, now: datetime, firing_too: str) -> tuple[Entry, ...]:
    """Return what is new in a group, for the timeline."""
    known = {a.fingerprint: current.alerts.get(_name(current, group, a)) is True for a in group.alerts}
    was_silent = {a.fingerprint: _name(current, group, a) in current.silent for a in group.alerts}
    new = {
        "Stopped firing": [a for a in group.alerts if a.ended and known[a.fingerprint]],
        "Data again, still firing": [a for a in group.firing if known[a.fingerprint] and was_silent[a.fingerprint]],
        firing_too: [a for a in group.firing if not known[a.fingerprint]],
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
