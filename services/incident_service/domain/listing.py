"""Which incidents a list holds, in which order, and where its next page begins."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.incident_service.domain.model import Incident, Severity, Status

ID_CHARS = 8  # a word shorter than that is no beginning of an id: all of one day begin alike


class Sort(StrEnum):
    """What a list is sorted by; the value is a field of an incident."""

    OPENED = "opened_at"
    UPDATED = "updated_at"
    SEVERITY = "severity"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: what its last incident is sorted by, and its id."""

    key: datetime | Severity
    id: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Which incidents to list: empty and None mean all. All `words` must be found; `last` ends with the present."""

    statuses: tuple[Status, ...] = ()
    severities: tuple[Severity, ...] = ()
    services: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    last: timedelta | None = None
    sort: Sort = Sort.OPENED
    ascending: bool = False

    def at(self, now: datetime) -> Listing:
        """Return the same listing with `last` as an instant."""
        return self if self.last is None else replace(self, since=now - self.last, last=None)

    def place_of(self, incident: Incident) -> Place:
        """Return the place of an incident in the order of this list."""
        return Place(getattr(incident, self.sort.value), incident.id)

    @property
    def scope(self) -> str:
        """Return a text that is the same only for listings of the same incidents in the same order."""
        return "incidents " + hashlib.blake2b(repr(astuple(self)).encode(), digest_size=12).hexdigest()


def id_beginning(word: str) -> str | None:
    """Return a word as the beginning of an id, None when it cannot be one."""
    small = word.lower()
    return small if len(small) >= ID_CHARS and not set(small) - set("0123456789abcdef-") else None
