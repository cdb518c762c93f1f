"""When trouble began, as far as its sender can be believed."""

from __future__ import annotations

from datetime import datetime, timedelta

LONGEST = timedelta(days=180)  # as long as rollups are kept unless a tenant says otherwise: before, nothing is known


def began(stated: datetime, now: datetime) -> datetime:
    """Return a start within what can be looked at: one in the future is now, one before all telemetry is bounded."""
    return max(min(stated, now), now - LONGEST)
