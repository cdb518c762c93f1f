"""Not hearing is not recovery: what is told of alerts that nobody has heard of for longer than their sender promised.

Alertmanager takes an alert for resolved once its `endsAt` has passed unrepeated. A Prometheus that was killed resolves
all of its alerts that way. Here such an alert has no data: it ends when its sender says so, or goes on to send others
without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from services.alert_router.domain.alert import Alert, State
from services.alert_router.domain.dedup import Decision, Entry
from services.alert_router.domain.flush import Flush, flush
from services.alert_router.domain.grouping import Clock
from services.alert_router.domain.heartbeats import turned
from services.alert_router.domain.route import Route

LONGEST_GRACE = timedelta(hours=6)  # Alertmanager's webhook repeats every 4 h
OWN_PAGES = "/services/"
SLOWEST_LOOK = timedelta(minutes=10)
FORGOTTEN_AFTER = timedelta(days=7)  # as long as alerts are kept on their topic


@dataclass(frozen=True, slots=True)
class Heard:
    """What could be heard: since when this process has listened without a break, and the senders' last words.

    `senders` has for the fingerprint of an alert when its sender last sent any alert at all; nothing for a sender that
    cannot be told from others.
    """

    since: datetime
    senders: Mapping[str, datetime] = field(default_factory=dict)


def look(
    alerts: Iterable[Alert],
    entry: Entry | None,
    now: datetime,
    route: Route,
    heard: Heard,
    heartbeat: Callable[[Alert], bool] = lambda _alert: False,
) -> Flush:
    """Return the outcome of looking at a group: Alertmanager's, and what is to be told of alerts without data.

    Of alerts that are a `heartbeat`, it is their silence that fires; once that is told, only their coming ends it.
    """
    missed = entry.firing if entry else frozenset()
    told = [a if heartbeat(a) and a.fingerprint in missed else judge(a, now, heard) for a in alerts]
    awaited = {a.fingerprint: a.ends_at for a in told if heartbeat(a) and a.state(now) is State.FIRING}
    judged = [turned(alert, now) if heartbeat(alert) else alert for alert in told]
    if judged and all(_forgotten(a, now) for a in judged):
        return Flush(Decision.NOTHING_FIRING, (), tuple(judged), entry, None)
    outcome = flush(judged, entry, now, route)
    silent = {a.fingerprint: a.silent_since(now) for a in judged if a.state(now) is State.NO_DATA}
    again = outcome.clock or _await(awaited, now, route) or _look_again(silent, now, route)
    outcome = replace(outcome, silent=silent, awaited=frozenset(awaited), clock=again)
    decision = outcome.decision if outcome.decision.notify else _more(outcome, entry, now)
    if not decision.notify:
        return outcome
    written = Entry(_names(outcome.firing), _names(outcome.resolved), now, frozenset(silent))
    return replace(outcome, decision=decision, entry=written)


def judge(alert: Alert, now: datetime, heard: Heard) -> Alert:
    """Return an alert as its sender's silence is to be understood.

    While we could not hear, nothing runs out: the sender gets the time it promised to repeat itself in again. A sender
    that has sent other alerts for half of that time and longer has let this one end.
    """
    promised = alert.ends_at - alert.updated_at
    if promised <= timedelta():
        return alert
    alert = replace(alert, ends_at=max(alert.ends_at, heard.since + min(promised, LONGEST_GRACE)))
    sender = heard.senders.get(alert.fingerprint)
    if alert.resolved_at(now) and sender and sender - alert.updated_at > promised / 2:
        return replace(alert, updated_at=max(sender, alert.ends_at))
    return alert


def sender_of(alert: Alert) -> str:
    """Return what the addresses of all alerts of a sender begin with; empty when its address does not say."""
    if alert.generator_url.startswith(OWN_PAGES):
        return OWN_PAGES  # our detector, whose links are paths on the console
    parts = urlsplit(alert.generator_url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.scheme and parts.netloc else ""


def _more(outcome: Flush, entry: Entry | None, now: datetime) -> Decision:
    """Tell of data that stopped or came back, and of an end that came after the silence was told."""
    if entry is None:
        return outcome.decision
    ended = {a.fingerprint for a in outcome.resolved if a.state(now) is State.RESOLVED}
    if entry.silent & ended:
        return Decision.NEW_RESOLVED if outcome.firing or outcome.silent else Decision.ALL_RESOLVED
    back = {a.fingerprint for a in outcome.firing} - outcome.silent.keys()
    if outcome.silent.keys() - entry.silent or entry.silent & back:
        return Decision.DATA_CHANGED
    return outcome.decision


def _look_again(silent: Mapping[str, datetime], now: datetime, route: Route) -> Clock | None:
    """Return when to look at a group again of which only silence is left: less and less often."""
    waiting = [now - since for since in silent.values() if now - since < FORGOTTEN_AFTER]
    if not waiting:
        return None
    return Clock(now + max(route.group_interval, min(min(waiting) / 10, SLOWEST_LOOK)), flushed=True)


def _await(awaited: Mapping[str, datetime], now: datetime, route: Route) -> Clock | None:
    """Return when to look whether heartbeats still come: once the first should have come again."""
    if not awaited:
        return None
    return Clock(max(now + route.group_interval, min(*awaited.values(), now + SLOWEST_LOOK)), flushed=True)


def _forgotten(alert: Alert, now: datetime) -> bool:
    """Tell whether a heartbeat has been missed for so long that nobody waits for it any more."""
    return alert.missed and now - alert.starts_at > FORGOTTEN_AFTER


def _names(alerts: Iterable[Alert]) -> frozenset[str]:
    return frozenset(a.fingerprint for a in alerts)
