"""One alert, and what becomes of two versions of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from libs.kernel.labels import fingerprint
from services.alert_router.domain.labels import Labels


class State(Enum):
    """What is known of a condition."""

    FIRING = "firing"
    RESOLVED = "resolved"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition identified by its labels, firing from `starts_at` until `ends_at`; all instants in UTC.

    While firing, `ends_at` lies ahead: until then the sender has promised to send it again. `timeout` says that the
    sender stated no end and this one was set on receipt. `updated_at` is when this version was received.
    `no_data_since` is set by a sender that does not know whether the condition still holds. `missed` marks the silence
    of a heartbeat, which is the condition then.
    """

    labels: Labels
    annotations: Labels
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    timeout: bool = False
    generator_url: str = ""
    source: str = ""
    service: str = ""
    no_data_since: datetime | None = None
    fingerprint: str = field(default="", compare=False)
    missed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint(self.labels))

    @property
    def name(self) -> str:
        """Return the `alertname` label, or an empty string; of a heartbeat that has stopped, that it has."""
        name = self.labels.get("alertname", "")
        return f"{name} heartbeat stopped" if self.missed else name

    def resolved_at(self, now: datetime) -> bool:
        """Tell whether the end that is stated has passed, as Alertmanager asks; it may never have been confirmed."""
        return self.ends_at <= now

    def state(self, now: datetime) -> State:
        """Return what is known at an instant: an end that had passed on receipt is one, a promise not kept is none."""
        if self.resolved_at(now):
            return State.RESOLVED if self.ends_at <= self.updated_at else State.NO_DATA
        return State.NO_DATA if self.no_data_since else State.FIRING

    def silent_since(self, now: datetime) -> datetime:
        """Return since when nothing is known of an alert without data."""
        return self.updated_at if self.resolved_at(now) else self.no_data_since or self.updated_at


def merge(a: Alert, b: Alert, now: datetime) -> Alert:
    """Return what two versions of one alert amount to, in whichever order they come.

    The later received wins in all but times: the start is the earliest; of two ends in the past the latest counts;
    while firing, an end that the sender stated is not shortened.
    """
    older, newer = (b, a) if b.updated_at < a.updated_at else (a, b)
    comparable = older.resolved_at(now) if newer.resolved_at(now) else not older.timeout
    ends_at = max(older.ends_at, newer.ends_at) if comparable else newer.ends_at
    return replace(newer, starts_at=min(a.starts_at, b.starts_at), ends_at=ends_at)


def overlap(old: Alert, new: Alert) -> bool:
    """Tell whether the new version starts or ends while the old one is active, so that both are one episode."""
    return any(old.starts_at < instant < old.ends_at for instant in (new.starts_at, new.ends_at))


def receive(known: Alert | None, new: Alert, now: datetime) -> Alert:
    """Return the alert to keep: merged when it continues the known episode, else the later received."""
    if known is None:
        return new
    if overlap(known, new):
        return merge(known, new, now)
    return known if new.updated_at < known.updated_at else new
