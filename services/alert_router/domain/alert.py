"""One alert, and what becomes of two versions of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from libs.kernel.labels import fingerprint
from services.alert_router.domain.labels import Labels


class Severity(Enum):
    """How urgent an alert is."""

    UNSPECIFIED = "unspecified"
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITIES = {
    **dict.fromkeys(("critical", "crit", "page", "fatal", "emergency"), Severity.CRITICAL),
    **dict.fromkeys(("warning", "warn", "error", "major", "minor"), Severity.WARNING),
    **dict.fromkeys(("info", "informational", "notice"), Severity.INFO),
}


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition identified by its labels, firing from `starts_at` until `ends_at`; all instants in UTC.

    While firing, `ends_at` lies ahead: it is when the alert counts as resolved unless it is sent again. `timeout` says
    that the sender stated no end and this one was set on receipt. `updated_at` is when this version was received.
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
    fingerprint: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", fingerprint(self.labels))

    @property
    def name(self) -> str:
        """Return the `alertname` label, or an empty string."""
        return self.labels.get("alertname", "")

    @property
    def severity(self) -> Severity:
        """Return the urgency stated by the `severity` label."""
        return SEVERITIES.get(self.labels.get("severity", "").lower(), Severity.UNSPECIFIED)

    def resolved_at(self, now: datetime) -> bool:
        """Tell whether the condition has ended by an instant."""
        return self.ends_at <= now


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
