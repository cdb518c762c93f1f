"""Alerts as tests need them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.alert_router.adapters.conventions_file import load_conventions
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.naming import Naming

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
CONVENTIONS = load_conventions()
DOOR = Door("prometheus", timedelta(minutes=5), Conventions(Naming(("service", "service.name", "job"))))


def at(seconds: float) -> datetime:
    """Return an instant relative to now."""
    return NOW + timedelta(seconds=seconds)


def alert(name: str = "Down", starts: float = -60, ends: float = 300, updated: float = 0, **labels: str) -> Alert:
    """Return an alert; times in seconds from now."""
    named = {"alertname": name, **labels}
    return Alert(named, {}, at(starts), at(ends), at(updated), service=labels.get("service", ""))
