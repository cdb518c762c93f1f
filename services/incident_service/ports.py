"""What the handlers need of the outside: a store whose transaction covers state, timeline and events; a renderer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.incident_service.domain.analysis import Analysis, StoredAnalysis
from services.incident_service.domain.communication import Channel, Rendered, Template
from services.incident_service.domain.listing import Listing, Place
from services.incident_service.domain.model import Decision, Entry, Incident
from services.incident_service.domain.records import (
    DueKind,
    Feedback,
    Link,
    Postmortem,
    PostmortemStatus,
    RoleAssignment,
    SeenAlert,
    StatusUpdate,
    Task,
    TaskKind,
    TaskStatus,
)
from services.incident_service.domain.similarity import PastIncident, Profile


class GroupAlreadyOpen(Exception):
    """Another transaction has just opened an incident for the same group; read again."""


@dataclass(frozen=True, slots=True)
class NumberedEntry:
    """A timeline entry with its place: numbers rise in the order entries of one incident were written."""

    number: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Once:
    """A write that shall happen once: the caller's key, the method, and a digest of the request."""

    key: str
    method: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class DueItem:
    """Something whose time has passed."""

    tenant: str
    incident_id: str
    kind: DueKind
    subject: str


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to list: empty and None mean all."""

    incident_id: str | None = None
    statuses: Sequence[TaskStatus] = ()
    kind: TaskKind | None = None
    late_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PostmortemFilter:
    """Which postmortems to list: empty and None mean all."""

    statuses: Sequence[PostmortemStatus] = ()
    late_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DatedPostmortem:
    """A postmortem, and when it must be published."""

    postmortem: Postmortem
    due_at: datetime | None


class Kept(StrEnum):
    """What an incident has a limited number of; the value is the table's name."""

    LINKS = "link"
    TASKS = "task"
    UPDATES = "status_update"


class Transaction(Protocol):
    """One transaction of one tenant: everything in it commits together, or nothing does."""

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Record an event; False when this consumer has acted on it before."""
        ...

    async def answered(self, once: Once) -> bytes | None:
        """Record a write's key; return the answer when it was done before.

        Waits for another transaction with the same key. Raises InvalidInput when the key came with another request.
        """
        ...

    async def keep_answer(self, once: Once, answer: bytes) -> None:
        """Keep the answer to a write that `answered` has recorded."""
        ...

    async def lock(self, incident_id: str) -> Incident | None:
        """Return an incident and keep others from changing it until the end."""
        ...

    async def lock_unresolved(self, group_key: str) -> Incident | None:
        """Return the unresolved incident the group feeds, also by merging, and keep others from changing it."""
        ...

    async def lock_last(self, group_key: str) -> Incident | None:
        """Return the latest incident of a group that is over and was not merged; keep others from changing it."""
        ...

    async def write(self, *decisions: Decision) -> tuple[Entry, ...]:
        """Write what decisions say: incidents, records, timelines, events. Return the entries with their ids.

        Raises GroupAlreadyOpen when the group of a new incident has another unresolved one.
        """
        ...

    async def keep_alerts(self, alerts: Sequence[SeenAlert]) -> None:
        """Keep alerts as last told, each over what was kept of it."""
        ...

    async def bring_alerts(self, source: Incident, target_id: str) -> None:
        """Copy the alerts of an incident to the one it was merged into."""
        ...

    async def latest_analysis(self, incident_id: str) -> StoredAnalysis | None:
        """Return what the latest analysis of an incident concluded."""
        ...

    async def keep_analysis(self, analysis: Analysis, encoded: bytes) -> None:
        """Keep an analysis under its version."""
        ...

    async def analysis(self, incident_id: str, version: int) -> bytes | None:
        """Return an analysis of an incident as it was received."""
        ...

    async def count(self, kept: Kept, incident_id: str) -> int:
        """Return how many of something an incident has."""
        ...

    async def task(self, task_id: str) -> Task | None:
        """Return a task."""
        ...

    async def tasks(self, incident_id: str) -> list[Task]:
        """Return an incident's tasks, oldest first."""
        ...

    async def postmortem(self, incident_id: str) -> Postmortem | None:
        """Return an incident's postmortem."""
        ...

    async def timeline(self, incident_id: str, limit: int) -> list[Entry]:
        """Return the first entries of a timeline."""
        ...

    async def keep_template(self, template: Template) -> None:
        """Keep a channel's template; one without a body removes it."""
        ...

    async def take_due(self, item: DueItem) -> bool:
        """Take an item off the list of what is due; False when it is not there any more."""
        ...


class Store(Protocol):
    """Where incidents are kept. Every method raises Unavailable when it does not answer."""

    def transaction(self, tenant: str) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction; it commits when the block ends well."""
        ...

    async def get(self, tenant: str, incident_id: str) -> Incident | None:
        """Return one incident."""
        ...

    async def listed(self, tenant: str, wanted: Listing, limit: int, after: Place | None) -> list[Incident]:
        """Return incidents in the order wanted, from behind a place on."""
        ...

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return entries oldest first, numbered above `after`."""
        ...

    async def roles(self, tenant: str, incident_id: str) -> list[RoleAssignment]:
        """Return who had which role, oldest first."""
        ...

    async def alerts(self, tenant: str, incident_id: str, limit: int) -> list[SeenAlert]:
        """Return an incident's alerts, those that go on first, then the latest start first."""
        ...

    async def links(self, tenant: str, incident_id: str) -> list[Link]:
        """Return an incident's links, oldest first."""
        ...

    async def tasks(self, tenant: str, wanted: TaskFilter, limit: int, after: str | None) -> list[Task]:
        """Return tasks oldest first, made after the given id."""
        ...

    async def postmortem(self, tenant: str, incident_id: str) -> DatedPostmortem | None:
        """Return an incident's postmortem."""
        ...

    async def postmortems(
        self, tenant: str, wanted: PostmortemFilter, limit: int, older_than: str | None
    ) -> list[DatedPostmortem]:
        """Return postmortems, newest incident first, of incidents opened before the given id."""
        ...

    async def updates(self, tenant: str, incident_id: str) -> list[StatusUpdate]:
        """Return what people outside were told, newest first."""
        ...

    async def public_incidents(self, tenant: str, since: datetime, limit: int) -> list[Incident]:
        """Return public incidents that were unresolved after an instant, newest first."""
        ...

    async def public_updates(self, tenant: str, incident_ids: Sequence[str]) -> list[StatusUpdate]:
        """Return the public updates of incidents, newest first."""
        ...

    async def templates(self, tenant: str) -> dict[Channel, Template]:
        """Return the tenant's own templates."""
        ...

    async def due(self, tenant: str, limit: int) -> list[DueItem]:
        """Return what has fallen due, longest ago first."""
        ...


class HypothesisStore(Protocol):
    """What is kept about hypotheses. Every method raises Unavailable when it does not answer."""

    async def analysis(self, tenant: str, incident_id: str, version: int = 0) -> bytes | None:
        """Return an analysis as it was received, the latest for version 0."""
        ...

    async def analyses(self, tenant: str, incident_id: str, limit: int, older_than: int | None) -> list[bytes]:
        """Return analyses as they were received, newest first, of versions below the given one."""
        ...

    async def feedback(self, tenant: str, incident_id: str | None, limit: int) -> list[Feedback]:
        """Return what people found last about one incident, or all when None, newest first."""
        ...

    async def profile(self, tenant: str, incident_id: str) -> Profile | None:
        """Return what an incident is compared by; None when there is no such incident."""
        ...

    async def past(self, tenant: str, incident_id: str, limit: int) -> list[PastIncident]:
        """Return the newest incidents opened before one, those merged into others left out."""
        ...


class Renderer(Protocol):
    """Renders templates that people wrote."""

    async def render(self, template: Template, facts: dict[str, object]) -> Rendered:
        """Return a message; raises InvalidInput when the template is wrong, takes too long or makes too much."""
        ...
