"""Since when nothing stood between a sender and us."""

from __future__ import annotations

from datetime import datetime, timedelta

LONGEST_PAUSE = timedelta(seconds=30)  # between two looks; a machine that slept, or a database that was away
LONGEST_LAG = timedelta(seconds=30)  # of an alert on its way through the broker


class Listening:
    """Keeps the instant since which alerts could be heard: a start, and each time that they could not, sets it anew."""

    def __init__(self, now: datetime) -> None:
        self._since = now
        self._looked_at = now
        self._closed = False

    def since(self, now: datetime) -> datetime:
        """Return the instant; the present one while nothing can be heard."""
        return now if self._closed else self._since

    def closed(self) -> None:
        """No alert comes through until `opened`: no partition is assigned, or the doors are not open yet."""
        self._closed = True

    def opened(self, now: datetime) -> None:
        """Alerts come through from here on."""
        self._closed = False
        self.interrupted(now)

    def interrupted(self, now: datetime) -> None:
        """A door could not pass an alert on, the broker or the database did not answer."""
        self._since = max(self._since, now)

    def looked(self, now: datetime) -> None:
        """A look at groups is about to be taken; one that is long overdue ends a pause."""
        if now - self._looked_at > LONGEST_PAUSE:
            self.interrupted(now)
        self._looked_at = now

    def received(self, sent_at: datetime, now: datetime) -> None:
        """An alert has come through the broker; while they come late, others are still on their way."""
        if now - sent_at > LONGEST_LAG:
            self.interrupted(now)
