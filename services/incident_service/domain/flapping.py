"""Alerts that end and fire again soon after are one trouble: its incident goes on."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.incident_service.domain.model import Incident, Status, changed

FLAPS = 2  # times that it fired again, from which on it is said to flap


def goes_on(last: Incident | None, ended_by: str, now: datetime, within: timedelta) -> bool:
    """Tell whether what fires now is the group's last incident again: its alerts, not a person, ended it just now."""
    return (
        last is not None
        and last.status is Status.RESOLVED
        and last.resolved_by == ended_by
        and last.resolved_at is not None
        and now - last.resolved_at <= within
    )


def taken_up(last: Incident, now: datetime) -> Incident:
    """Return the incident as it goes on: whoever had taken it has it still."""
    return changed(
        last,
        now,
        status=Status.ACKNOWLEDGED if last.acknowledged_by else Status.OPEN,
        mitigated_at=None,
        mitigated_by="",
        resolved_at=None,
        resolved_by="",
        postmortem_due_at=None,
        reopened_at=now,
        flaps=last.flaps + 1,
    )


def told(again: Incident, last: Incident, now: datetime) -> str:
    """Return what happened, in words."""
    quiet = (now - (last.resolved_at or now)).total_seconds()
    after = f"{quiet / 60:.0f} min" if quiet >= 120 else f"{quiet:.0f} s"
    times = "" if again.flaps < FLAPS else f": it flaps, {again.flaps} times so far"
    return f"Opened again: its alerts fire {after} after they had ended{times}"
