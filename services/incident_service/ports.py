"""What the handlers need of the outside: one store whose transaction covers state, timeline, analysis and events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from services.incident_service.domain.analysis import Analysis, StoredAnalysis
from services.incident_service.domain.model import Decision, Entry, Incident, Status


class GroupAlreadyOpen(Exception):
    """Another transaction has just opened an incident for the same group; read again."""


@dataclass(frozen=True, slots=True)
class NumberedEntry:
    """A timeline entry with its place: numbers rise in the order entries of one incident were written."""

    number: int
    entry: Entry


class Transaction(Protocol):
    """One transaction of one tenant: everything in it commits together, or nothing does."""

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Record an event; False when this consumer has acted on it before."""
        ...

    async def lock(self, incident_id: str) -> Incident | None:
        """Return an incident and keep others from changing it until the end."""
        ...

    async def lock_unresolved(self, group_key: str) -> Incident | None:
        """Return the group's unresolved incident and keep others from changing it until the end."""
        ...

    async def write(self, decision: Decision) -> tuple[Entry, ...]:
        """Write what a decision says: incident, timeline, event. Return the entries with their ids.

        Raises GroupAlreadyOpen when the group of a new incident has another unresolved one.
        """
        ...

    async def latest_analysis(self, incident_id: str) -> StoredAnalysis | None:
        """Return what the latest analysis of an incident concluded."""
        ...

    async def keep_analysis(self, analysis: Analysis, encoded: bytes) -> None:
        """Keep an analysis under its version."""
        ...


class Store(Protocol):
    """Where incidents are kept. Every method raises Unavailable when it does not answer."""

    def transaction(self, tenant: str) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction; it commits when the block ends well."""
        ...

    async def get(self, tenant: str, incident_id: str) -> Incident | None:
        """Return one incident."""
        ...

    async def newest(
        self, tenant: str, statuses: Sequence[Status], limit: int, older_than: str | None
    ) -> list[Incident]:
        """Return incidents newest first, of the given statuses (all when empty), opened before the given id."""
        ...

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return entries oldest first, numbered above `after`."""
        ...

    async def analysis(self, tenant: str, incident_id: str) -> bytes | None:
        """Return the latest analysis as it was received."""
        ...
