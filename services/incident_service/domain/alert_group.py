"""What the router tells: a group of alerts as it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.incident_service.domain.model import Severity
from services.incident_service.domain.records import AlertState

RUNBOOK = ("runbook_url", "runbook")
DASHBOARD = ("dashboard_url", "dashboard")


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


def web_address(annotations: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first of these annotations that is a web address; empty when none is."""
    values = (annotations.get(name, "").strip() for name in names)
    return next((value for value in values if value.lower().startswith(("http://", "https://"))), "")


def readable(name: str) -> str:
    """Return an alert name as words: `HighErrorRate` and `high_error_rate` become `High error rate`."""
    if " " in name.strip():
        return name.strip()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[_-]+", " ", name).strip()
    words = [w if w.isupper() and len(w) > 1 else w.lower() for w in spaced.split()]
    text = " ".join(words)
    return text[:1].upper() + text[1:] if text else "Unnamed alert"
