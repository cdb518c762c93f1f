"""Incidents in Postgres, schema `incident`: what is read outside of writes, and the way to a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from libs.storage.postgres import Pool, transaction
from services.incident_service.adapters import postgres_listing
from services.incident_service.adapters import postgres_rows as rows
from services.incident_service.adapters.postgres_transaction import GET, PostgresTransaction
from services.incident_service.domain.communication import Channel, Template
from services.incident_service.domain.listing import Listing, Place
from services.incident_service.domain.model import Incident
from services.incident_service.domain.records import (
    DueKind,
    Link,
    Postmortem,
    RoleAssignment,
    SeenAlert,
    StatusUpdate,
    Task,
)
from services.incident_service.ports import (
    DatedPostmortem,
    DueItem,
    GroupAlreadyOpen,
    NumberedEntry,
    PostmortemFilter,
    TaskFilter,
)

_TIMELINE = """SELECT number, id, kind, occurred_at, actor, source, text, url FROM timeline
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s AND number > %(after)s ORDER BY number LIMIT %(limit)s"""
_OF = "WHERE tenant_id = %(tenant)s AND incident_id = %(id)s"
_ROLES = f"SELECT {rows.columns(RoleAssignment)} FROM role_assignment {_OF} ORDER BY number"
_ALERTS = f"""SELECT {rows.columns(SeenAlert)} FROM incident_alert WHERE tenant_id = %(tenant)s AND incident_id = %(id)s
ORDER BY state = 'resolved', starts_at DESC, name LIMIT %(limit)s"""
_LINKS = f"SELECT {rows.columns(Link)} FROM link {_OF} ORDER BY id"
_UPDATES = f"SELECT {rows.columns(StatusUpdate)} FROM status_update {_OF} ORDER BY id DESC"
_TASKS = f"""SELECT {rows.columns(Task)} FROM task WHERE tenant_id = %(tenant)s
AND (%(incident_id)s::uuid IS NULL OR incident_id = %(incident_id)s)
AND (cardinality(%(statuses)s::text[]) = 0 OR status = ANY(%(statuses)s))
AND (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(late_at)s::timestamptz IS NULL OR status = 'open' AND due_at <= %(late_at)s)
AND id > %(after)s ORDER BY id LIMIT %(limit)s"""
_POSTMORTEM = f"""SELECT {", ".join(f"p.{name}" for name in rows.columns(Postmortem).split(", "))}, i.postmortem_due_at
FROM postmortem p JOIN incident i ON i.tenant_id = p.tenant_id AND i.id = p.incident_id
WHERE p.tenant_id = %(tenant)s"""
_POSTMORTEMS = f"""{_POSTMORTEM} AND (cardinality(%(statuses)s::text[]) = 0 OR p.status = ANY(%(statuses)s))
AND (%(late_at)s::timestamptz IS NULL OR p.status = 'draft' AND i.postmortem_due_at <= %(late_at)s)
AND p.incident_id < %(older_than)s ORDER BY p.incident_id DESC LIMIT %(limit)s"""
_PUBLIC = f"""SELECT {rows.INCIDENT} FROM incident WHERE tenant_id = %(tenant)s AND public
AND merged_into IS NULL AND (resolved_at IS NULL OR resolved_at >= %(since)s) ORDER BY id DESC LIMIT %(limit)s"""
_PUBLIC_UPDATES = f"""SELECT {rows.columns(StatusUpdate)} FROM status_update
WHERE tenant_id = %(tenant)s AND incident_id = ANY(%(ids)s::uuid[]) AND public ORDER BY id DESC"""
_TEMPLATES = f"SELECT {rows.columns(Template)} FROM message_template WHERE tenant_id = %(tenant)s"
_DUE = """SELECT tenant_id AS tenant, incident_id::text, kind, subject::text FROM due
WHERE tenant_id = %(tenant)s AND due_at <= now() ORDER BY due_at LIMIT %(limit)s"""
_FIRST_UUID, _LAST_UUID = str(UUID(int=0)), str(UUID(int=2**128 - 1))


class PostgresStore:
    """Incidents over a pool whose connections see schema `incident` first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[PostgresTransaction]:
        """Begin a transaction; it commits when the block ends well. Raises GroupAlreadyOpen at a late conflict."""
        try:
            async with transaction(self._pool, tenant) as conn:
                yield PostgresTransaction(conn, tenant)
        except psycopg.errors.UniqueViolation as exc:
            raise GroupAlreadyOpen(str(exc)) from exc

    async def get(self, tenant: str, incident_id: str) -> Incident | None:
        """Return one incident."""
        row = await self._first(tenant, GET, id=incident_id)
        return rows.incident(row) if row else None

    async def listed(self, tenant: str, wanted: Listing, limit: int, after: Place | None) -> list[Incident]:
        """Return incidents in the order wanted, from behind a place on."""
        text, values = postgres_listing.select(wanted, limit, after)
        return [rows.incident(row) for row in await self._all(tenant, text, **values)]

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return entries oldest first, numbered above `after`."""
        found = await self._all(tenant, _TIMELINE, id=incident_id, limit=limit, after=after)
        return [NumberedEntry(row.pop("number"), rows.entry(row)) for row in found]

    async def roles(self, tenant: str, incident_id: str) -> list[RoleAssignment]:
        """Return who had which role, oldest first."""
        return [rows.role(row) for row in await self._all(tenant, _ROLES, id=incident_id)]

    async def alerts(self, tenant: str, incident_id: str, limit: int) -> list[SeenAlert]:
        """Return an incident's alerts, those that go on first, then the latest start first."""
        found = await self._all(tenant, _ALERTS, id=incident_id, limit=limit)
        return [rows.seen_alert(row) for row in found]

    async def links(self, tenant: str, incident_id: str) -> list[Link]:
        """Return an incident's links, oldest first."""
        return [rows.link(row) for row in await self._all(tenant, _LINKS, id=incident_id)]

    async def tasks(self, tenant: str, wanted: TaskFilter, limit: int, after: str | None) -> list[Task]:
        """Return tasks oldest first, made after the given id."""
        found = await self._all(
            tenant, _TASKS, incident_id=wanted.incident_id, statuses=_values(wanted.statuses),
            kind=wanted.kind and wanted.kind.value, late_at=wanted.late_at, limit=limit, after=after or _FIRST_UUID,
        )  # fmt: skip
        return [rows.task(row) for row in found]

    async def postmortem(self, tenant: str, incident_id: str) -> DatedPostmortem | None:
        """Return an incident's postmortem."""
        row = await self._first(tenant, f"{_POSTMORTEM} AND p.incident_id = %(id)s", id=incident_id)
        return _dated(row) if row else None

    async def postmortems(
        self, tenant: str, wanted: PostmortemFilter, limit: int, older_than: str | None
    ) -> list[DatedPostmortem]:
        """Return postmortems, newest incident first, of incidents opened before the given id."""
        found = await self._all(
            tenant, _POSTMORTEMS, statuses=_values(wanted.statuses), late_at=wanted.late_at, limit=limit,
            older_than=older_than or _LAST_UUID,
        )  # fmt: skip
        return [_dated(row) for row in found]

    async def updates(self, tenant: str, incident_id: str) -> list[StatusUpdate]:
        """Return what people outside were told, newest first."""
        return [rows.update(row) for row in await self._all(tenant, _UPDATES, id=incident_id)]

    async def public_incidents(self, tenant: str, since: datetime, limit: int) -> list[Incident]:
        """Return public incidents that were unresolved after an instant, newest first."""
        found = await self._all(tenant, _PUBLIC, since=since, limit=limit)
        return [rows.incident(row) for row in found]

    async def public_updates(self, tenant: str, incident_ids: Sequence[str]) -> list[StatusUpdate]:
        """Return the public updates of incidents, newest first."""
        return [rows.update(row) for row in await self._all(tenant, _PUBLIC_UPDATES, ids=list(incident_ids))]

    async def templates(self, tenant: str) -> dict[Channel, Template]:
        """Return the tenant's own templates."""
        found = [rows.template(row) for row in await self._all(tenant, _TEMPLATES)]
        return {template.channel: template for template in found}

    async def due(self, tenant: str, limit: int) -> list[DueItem]:
        """Return what has fallen due, longest ago first."""
        found = await self._all(tenant, _DUE, limit=limit)
        return [DueItem(**(row | {"kind": DueKind(row["kind"])})) for row in found]

    async def _first(self, tenant: str, statement: str, **values: Any) -> rows.Row | None:
        async with transaction(self._pool, tenant) as conn:
            return await rows.first(conn, statement, values | {"tenant": tenant})

    async def _all(self, tenant: str, statement: str, **values: Any) -> list[rows.Row]:
        async with transaction(self._pool, tenant) as conn:
            return await rows.every(conn, statement, values | {"tenant": tenant})


def _values(chosen: Sequence[Any]) -> list[str]:
    return [one.value for one in chosen]


def _dated(row: Mapping[str, Any]) -> DatedPostmortem:
    kept = {name: value for name, value in row.items() if name != "postmortem_due_at"}
    return DatedPostmortem(rows.postmortem(kept), row["postmortem_due_at"])
