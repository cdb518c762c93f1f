"""Incidents in Postgres, schema `incident`: state, timeline and outbox row commit together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from libs.kernel.ids import uuid7
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.topics import INCIDENTS_EVENTS
from libs.storage import inbox, outbox
from libs.storage.postgres import Pool, transaction
from services.incident_service.adapters.encode import event_message
from services.incident_service.domain.analysis import Analysis, Conclusion, StoredAnalysis
from services.incident_service.domain.model import Change, Decision, Entry, EntryKind, Incident, Severity, Status
from services.incident_service.ports import GroupAlreadyOpen, NumberedEntry

EVENT_SOURCE = "/incidentscope/incident_service"
Row = dict[str, Any]

_COLUMNS = """tenant_id, id, title, status, severity, services, group_key, alerts, started_at, opened_at,
acknowledged_at, acknowledged_by, resolved_at, resolved_by, version"""
_GET = f"SELECT {_COLUMNS} FROM incident WHERE tenant_id = %(tenant)s AND id = %(id)s"
_UNRESOLVED = f"""SELECT {_COLUMNS} FROM incident
WHERE tenant_id = %(tenant)s AND md5(group_key) = md5(%(group_key)s) AND group_key = %(group_key)s
AND group_key <> '' AND status <> 'resolved' FOR UPDATE"""
_NEWEST = f"""SELECT {_COLUMNS} FROM incident
WHERE tenant_id = %(tenant)s AND (cardinality(%(statuses)s::text[]) = 0 OR status = ANY(%(statuses)s))
AND id < %(older_than)s ORDER BY id DESC LIMIT %(limit)s"""
_INSERT = f"""INSERT INTO incident ({_COLUMNS}) VALUES (%(tenant)s, %(id)s, %(title)s, %(status)s, %(severity)s,
%(services)s, %(group_key)s, %(alerts)s, %(started_at)s, %(opened_at)s, %(acknowledged_at)s, %(acknowledged_by)s,
%(resolved_at)s, %(resolved_by)s, %(version)s) ON CONFLICT DO NOTHING RETURNING true"""
_UPDATE = """UPDATE incident SET title = %(title)s, status = %(status)s, severity = %(severity)s,
services = %(services)s, alerts = %(alerts)s, started_at = %(started_at)s, acknowledged_at = %(acknowledged_at)s,
acknowledged_by = %(acknowledged_by)s, resolved_at = %(resolved_at)s, resolved_by = %(resolved_by)s,
version = %(version)s WHERE tenant_id = %(tenant)s AND id = %(id)s"""
_APPEND = """INSERT INTO timeline (tenant_id, incident_id, id, kind, occurred_at, actor, source, text, url)
VALUES (%(tenant)s, %(incident_id)s, %(id)s, %(kind)s, %(occurred_at)s, %(actor)s, %(source)s, %(text)s, %(url)s)"""
_TIMELINE = """SELECT number, id, kind, occurred_at, actor, source, text, url FROM timeline
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s AND number > %(after)s ORDER BY number LIMIT %(limit)s"""
_KEEP_ANALYSIS = """INSERT INTO analysis (tenant_id, incident_id, version, cause_service, cause_kind, event)
VALUES (%(tenant)s, %(id)s, %(version)s, %(service)s, %(kind)s, %(event)s)"""
_LATEST_ANALYSIS = """SELECT version, cause_service, cause_kind, event FROM analysis
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s ORDER BY version DESC LIMIT 1"""
_LAST_UUID = str(UUID(int=2**128 - 1))


class PostgresTransaction:
    """One open transaction of one tenant."""

    def __init__(self, conn: AsyncConnection[Any], tenant: str) -> None:
        self._conn = conn
        self._tenant = tenant

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Record an event; False when this consumer has acted on it before."""
        return await inbox.first_time(self._conn, consumer, event_id)

    async def lock(self, incident_id: str) -> Incident | None:
        """Return an incident and keep others from changing it until the end."""
        row = await self._one(f"{_GET} FOR UPDATE", id=incident_id)
        return _incident(row) if row else None

    async def lock_unresolved(self, group_key: str) -> Incident | None:
        """Return the group's unresolved incident and keep others from changing it until the end."""
        row = await self._one(_UNRESOLVED, group_key=group_key)
        return _incident(row) if row else None

    async def write(self, decision: Decision) -> tuple[Entry, ...]:
        """Write incident, timeline and event; raises GroupAlreadyOpen."""
        incident, change = decision.incident, decision.change
        if incident is None or change is None:
            raise ValueError(f"nothing to write for {decision.reason}")
        await self._save(incident, change)
        entries = tuple([await self._append(incident.id, entry) for entry in decision.entries])
        await self._publish(incident, change, entries[-1])
        return entries

    async def latest_analysis(self, incident_id: str) -> StoredAnalysis | None:
        """Return what the latest analysis concluded."""
        row = await self._one(_LATEST_ANALYSIS, id=incident_id)
        if row is None:
            return None
        return StoredAnalysis(row["version"], Conclusion(row["cause_service"], row["cause_kind"]))

    async def keep_analysis(self, analysis: Analysis, encoded: bytes) -> None:
        """Keep an analysis under its version."""
        values = {
            "tenant": self._tenant,
            "id": analysis.incident_id,
            "version": analysis.version,
            "service": analysis.conclusion.service,
            "kind": analysis.conclusion.cause_kind,
            "event": encoded,
        }
        await self._conn.execute(_KEEP_ANALYSIS, values)

    async def _save(self, incident: Incident, change: Change) -> None:
        if change is not Change.OPENED:
            await self._conn.execute(_UPDATE, _values(incident))
            return
        cursor = await self._conn.execute(_INSERT, _values(incident))
        if await cursor.fetchone() is None:
            raise GroupAlreadyOpen(incident.group_key)

    async def _append(self, incident_id: str, entry: Entry) -> Entry:
        numbered = replace(entry, id=uuid7(entry.occurred_at))
        values = {
            "tenant": self._tenant,
            "incident_id": incident_id,
            "id": numbered.id,
            "kind": entry.kind.value,
            "occurred_at": entry.occurred_at,
            "actor": entry.actor,
            "source": entry.source,
            "text": entry.text,
            "url": entry.url,
        }
        await self._conn.execute(_APPEND, values)
        return numbered

    async def _publish(self, incident: Incident, change: Change, entry: Entry) -> None:
        event = CloudEvent(
            id=entry.id,
            source=EVENT_SOURCE,
            time=entry.occurred_at,
            subject=incident.id,
            tenant=self._tenant,
            data=event_message(change, incident, entry),
        )
        await outbox.enqueue(self._conn, INCIDENTS_EVENTS, incident.id, event)

    async def _one(self, statement: str, **values: Any) -> Row | None:
        return await _first(self._conn, statement, {"tenant": self._tenant, **values})


class PostgresStore:
    """Incidents over a pool whose connections see schema `incident` first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[PostgresTransaction]:
        """Begin a transaction; it commits when the block ends well."""
        async with transaction(self._pool, tenant) as conn:
            yield PostgresTransaction(conn, tenant)

    async def get(self, tenant: str, incident_id: str) -> Incident | None:
        """Return one incident."""
        async with transaction(self._pool, tenant) as conn:
            row = await _first(conn, _GET, {"tenant": tenant, "id": incident_id})
        return _incident(row) if row else None

    async def newest(
        self, tenant: str, statuses: Sequence[Status], limit: int, older_than: str | None
    ) -> list[Incident]:
        """Return incidents newest first, of the given statuses (all when empty), opened before the given id."""
        values = {
            "tenant": tenant,
            "statuses": [s.value for s in statuses],
            "limit": limit,
            "older_than": older_than or _LAST_UUID,
        }
        return [_incident(row) for row in await self._all(tenant, _NEWEST, values)]

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return entries oldest first, numbered above `after`."""
        values = {"tenant": tenant, "id": incident_id, "limit": limit, "after": after}
        rows = await self._all(tenant, _TIMELINE, values)
        return [NumberedEntry(row.pop("number"), _entry(row)) for row in rows]

    async def analysis(self, tenant: str, incident_id: str) -> bytes | None:
        """Return the latest analysis as it was received."""
        async with transaction(self._pool, tenant) as conn:
            row = await _first(conn, _LATEST_ANALYSIS, {"tenant": tenant, "id": incident_id})
        return bytes(row["event"]) if row else None

    async def _all(self, tenant: str, statement: str, values: Row) -> list[Row]:
        async with transaction(self._pool, tenant) as conn, conn.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchall()


async def _first(conn: AsyncConnection[Any], statement: str, values: Row) -> Row | None:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


def _values(incident: Incident) -> Row:
    return {
        "tenant": incident.tenant,
        "id": incident.id,
        "title": incident.title,
        "status": incident.status.value,
        "severity": int(incident.severity),
        "services": list(incident.services),
        "group_key": incident.group_key,
        "alerts": Jsonb(dict(incident.alerts)),
        "started_at": incident.started_at,
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by,
        "resolved_at": incident.resolved_at,
        "resolved_by": incident.resolved_by,
        "version": incident.version,
    }


def _incident(row: Row) -> Incident:
    changed = {
        "id": str(row["id"]),
        "status": Status(row["status"]),
        "severity": Severity(row["severity"]),
        "services": tuple(row["services"]),
    }
    kept = {name: value for name, value in row.items() if name != "tenant_id"}
    return Incident(tenant=row["tenant_id"], **(kept | changed))


def _entry(row: Row) -> Entry:
    return Entry(**(row | {"id": str(row["id"]), "kind": EntryKind(row["kind"])}))
