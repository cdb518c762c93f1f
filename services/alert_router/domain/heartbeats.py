"""Alerts that fire always, by design: while one comes all is well, and its silence is what is to be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.alert_router.domain.alert import Alert, State

UNTIL_IT_BEATS = timedelta(days=365)  # how long its silence fires


def turned(alert: Alert, now: datetime) -> Alert:
    """Return the condition a heartbeat stands for: over as long as it comes, firing since it stopped."""
    if alert.state(now) is State.FIRING:
        return replace(alert, ends_at=alert.updated_at)
    since = alert.ends_at if alert.resolved_at(now) else alert.silent_since(now)
    told = (
        f"It fires always, by design, and has not been heard since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC: "
        "what sends alerts, or the way from there to here, does not work, so that other alerts may be missing"
    )
    return replace(
        alert,
        annotations={**alert.annotations, "summary": told},
        starts_at=since,
        ends_at=now + UNTIL_IT_BEATS,
        updated_at=now,
        no_data_since=None,
        missed=True,
    )
