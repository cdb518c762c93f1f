"""Rows of schema `incident` as domain values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from services.incident_service.domain.communication import Channel, Template
from services.incident_service.domain.model import Entry, EntryKind, Incident, Priority, Severity, Status
from services.incident_service.domain.records import (
    AlertState,
    Feedback,
    FeedbackVerdict,
    Link,
    Postmortem,
    PostmortemStatus,
    PublicStatus,
    RoleAssignment,
    SeenAlert,
    StatusUpdate,
    Task,
    TaskKind,
    TaskStatus,
)

Row = dict[str, Any]
_FIELDS = tuple(f.name for f in fields(Incident) if f.name != "tenant")
INCIDENT = ", ".join(("tenant_id", *_FIELDS))
INSERT_INCIDENT = f"""INSERT INTO incident ({INCIDENT}) VALUES (%(tenant)s, {", ".join(f"%({n})s" for n in _FIELDS)})
ON CONFLICT DO NOTHING RETURNING true"""
_FIXED = ("id", "group_key", "opened_at")
UPDATE_INCIDENT = f"""UPDATE incident SET {", ".join(f"{n} = %({n})s" for n in _FIELDS if n not in _FIXED)}
WHERE tenant_id = %(tenant)s AND id = %(id)s"""


def columns(record: type) -> str:
    """Return the columns of a record's table: its fields."""
    return ", ".join(f.name for f in fields(record))


async def first(conn: AsyncConnection[Any], statement: str, values: Mapping[str, Any]) -> Row | None:
    """Return the first row of a statement."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchone()


async def every(conn: AsyncConnection[Any], statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Return all rows of a statement."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


def incident_values(incident: Incident) -> Row:
    """Return an incident as parameters."""
    changed = {
        "status": incident.status.value,
        "severity": int(incident.severity),
        "priority": int(incident.priority),
        "services": list(incident.services),
        "alerts": Jsonb(dict(incident.alerts)),
        "silent": Jsonb({name: since.isoformat() for name, since in incident.silent.items()}),
        "merged_into": incident.merged_into or None,
        "changed_at": incident.updated_at,
    }
    return {"tenant": incident.tenant} | {name: getattr(incident, name) for name in _FIELDS} | changed


def incident(row: Row) -> Incident:
    """Return the incident of a row."""
    changed = {
        "id": str(row["id"]),
        "status": Status(row["status"]),
        "severity": Severity(row["severity"]),
        "priority": Priority(row["priority"]),
        "services": tuple(row["services"]),
        "silent": {name: datetime.fromisoformat(since) for name, since in row["silent"].items()},
        "merged_into": str(row["merged_into"]) if row["merged_into"] else "",
    }
    kept = {name: row[name] for name in _FIELDS}
    return Incident(tenant=row["tenant_id"], **(kept | changed))


def entry(row: Row) -> Entry:
    """Return the timeline entry of a row."""
    return Entry(**(row | {"id": str(row["id"]), "kind": EntryKind(row["kind"])}))


def role(row: Row) -> RoleAssignment:
    """Return the role assignment of a row."""
    return RoleAssignment(**(row | {"incident_id": str(row["incident_id"])}))


def link(row: Row) -> Link:
    """Return the link of a row."""
    return Link(**(row | _ids(row)))


def seen_alert(row: Row) -> SeenAlert:
    """Return the alert of a row."""
    return SeenAlert(**(row | {"incident_id": str(row["incident_id"]), "state": AlertState(row["state"])}))


def seen_alert_values(alert: SeenAlert) -> Row:
    """Return an alert as parameters."""
    changed = {
        "state": alert.state.value,
        "labels": Jsonb(dict(alert.labels)),
        "annotations": Jsonb(dict(alert.annotations)),
    }
    return {name: getattr(alert, name) for name in columns(SeenAlert).split(", ")} | changed


def task(row: Row) -> Task:
    """Return the task of a row."""
    return Task(**(row | _ids(row) | {"kind": TaskKind(row["kind"]), "status": TaskStatus(row["status"])}))


def update(row: Row) -> StatusUpdate:
    """Return the status update of a row."""
    return StatusUpdate(**(row | _ids(row) | {"status": PublicStatus(row["status"])}))


def postmortem(row: Row) -> Postmortem:
    """Return the postmortem of a row."""
    changed = {"incident_id": str(row["incident_id"]), "status": PostmortemStatus(row["status"])}
    return Postmortem(**(row | changed))


def feedback(row: Row) -> Feedback:
    """Return what a person found, of a row."""
    return Feedback(**(row | _ids(row) | {"verdict": FeedbackVerdict(row["verdict"])}))


def template(row: Row) -> Template:
    """Return the template of a row."""
    return Template(**(row | {"channel": Channel(row["channel"])}))


def record_values(record: Any) -> Row:
    """Return a record as parameters."""
    return {name: getattr(value, "value", value) for name, value in asdict(record).items()}


def _ids(row: Row) -> Row:
    return {"id": str(row["id"]), "incident_id": str(row["incident_id"])}
