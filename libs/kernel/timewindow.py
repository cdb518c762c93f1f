"""Half-open time windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """From `start` (inclusive) to `end` (exclusive), both timezone-aware. Raises ValueError when empty or naive."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a time window needs timezone-aware instants")
        if self.end <= self.start:
            raise ValueError(f"a time window must end after it starts: {self.start} to {self.end}")

    @property
    def duration(self) -> timedelta:
        """Return the length."""
        return self.end - self.start

    def contains(self, instant: datetime) -> bool:
        """Tell whether an instant lies inside."""
        return self.start <= instant < self.end

    def overlaps(self, other: TimeWindow) -> bool:
        """Tell whether two windows share any instant."""
        return self.start < other.end and other.start < self.end


def floor_minute(instant: datetime) -> datetime:
    """Return the start of the instant's minute."""
    return instant.replace(second=0, microsecond=0)
