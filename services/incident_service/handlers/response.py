"""What is added to an incident while it goes on: links, tasks, updates to people outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from libs.kernel.ids import uuid7
from services.incident_service.domain import response, tasks
from services.incident_service.domain.alerts import SEEN_ALERTS
from services.incident_service.domain.records import (
    Link,
    PublicStatus,
    RoleAssignment,
    SeenAlert,
    StatusUpdate,
    Task,
    TaskKind,
)
from services.incident_service.handlers.writes import NotFound, Writes, carry_out, existing, locked
from services.incident_service.ports import Kept, Store, TaskFilter, Transaction


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a person says when making a task."""

    kind: TaskKind
    title: str
    owner: str
    due_at: datetime | None
    actor: str


@dataclass(frozen=True, slots=True)
class NewUpdate:
    """What a person says to people outside; `status` None follows from the incident."""

    status: PublicStatus | None
    message: str
    public: bool
    actor: str


class Response:
    """The use cases, over a store."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    async def add_link(self, tx: Transaction, incident_id: str, title: str, url: str, actor: str) -> Link:
        """Add a link; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        now = self._writes.clock.now()
        link = Link(uuid7(now), incident_id, title or url, url, actor, now)
        await carry_out(tx, response.add_link(incident, link, await tx.count(Kept.LINKS, incident_id)))
        return link

    async def create_task(self, tx: Transaction, incident_id: str, new: NewTask) -> Task:
        """Make a task; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        now = self._writes.clock.now()
        task = Task(uuid7(now), incident_id, new.kind, new.title, new.owner, new.due_at, new.actor, now)
        await carry_out(tx, tasks.create_task(incident, task, await tx.count(Kept.TASKS, incident_id)))
        return task

    async def update_task(
        self,
        tx: Transaction,
        incident_id: str,
        task_id: str,
        values: Mapping[str, Any],
        actor: str,
        expected_version: int | None,
    ) -> Task:
        """Change a task's fields; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        task = await tx.task(task_id)
        if task is None or task.incident_id != incident_id:
            raise NotFound(f"incident {incident_id} has no task {task_id}")
        decision = tasks.update_task(incident, task, values, actor, expected_version, self._writes.clock.now())
        await carry_out(tx, decision)
        return next(r for r in decision.records if isinstance(r, Task))

    async def post_update(self, tx: Transaction, incident_id: str, new: NewUpdate) -> StatusUpdate:
        """Record what people outside are told; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        now = self._writes.clock.now()
        status = new.status or response.public_status(incident, None)
        posted = StatusUpdate(uuid7(now), incident_id, status, new.message, new.public, new.actor, now)
        await carry_out(tx, response.post_update(incident, posted, await tx.count(Kept.UPDATES, incident_id)))
        return posted

    async def roles(self, tenant: str, incident_id: str) -> list[RoleAssignment]:
        """Return who had which role, oldest first; raises NotFound."""
        await self._require(tenant, incident_id)
        return await self._store.roles(tenant, incident_id)

    async def alerts(self, tenant: str, incident_id: str) -> list[SeenAlert]:
        """Return the alerts in their own words, those that go on first; raises NotFound."""
        await self._require(tenant, incident_id)
        return await self._store.alerts(tenant, incident_id, SEEN_ALERTS)

    async def links(self, tenant: str, incident_id: str) -> list[Link]:
        """Return the links, oldest first; raises NotFound."""
        await self._require(tenant, incident_id)
        return await self._store.links(tenant, incident_id)

    async def updates(self, tenant: str, incident_id: str) -> list[StatusUpdate]:
        """Return what people outside were told, newest first; raises NotFound."""
        await self._require(tenant, incident_id)
        return await self._store.updates(tenant, incident_id)

    async def tasks(self, tenant: str, wanted: TaskFilter, limit: int, after: str | None) -> Sequence[Task]:
        """Return tasks, oldest first; raises NotFound for an incident that is not there."""
        if wanted.incident_id is not None:
            await self._require(tenant, wanted.incident_id)
        return await self._store.tasks(tenant, wanted, limit, after)

    async def _require(self, tenant: str, incident_id: str) -> None:
        existing(await self._store.get(tenant, incident_id), incident_id)
