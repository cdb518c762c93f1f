"""One open transaction in schema `incident`: state, records, timeline and outbox rows commit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from libs.kernel.errors import InvalidInput
from libs.kernel.ids import uuid7
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.topics import INCIDENTS_EVENTS, Topic
from libs.storage import inbox, outbox
from services.incident_service.adapters import postgres_rows as rows
from services.incident_service.adapters.encode import event_message
from services.incident_service.domain.analysis import Analysis, Conclusion, StoredAnalysis
from services.incident_service.domain.communication import Template
from services.incident_service.domain.lifecycle import MERGED, merged_name
from services.incident_service.domain.model import Change, Decision, Entry, Incident
from services.incident_service.domain.records import (
    Due,
    Feedback,
    Link,
    Postmortem,
    Record,
    RoleChange,
    SeenAlert,
    StatusUpdate,
    Task,
)
from services.incident_service.ports import DueItem, GroupAlreadyOpen, Kept, Once

EVENT_SOURCE = "/incidentscope/incident_service"
_UNRESOLVED = "('open', 'acknowledged', 'mitigated')"
GET = f"SELECT {rows.INCIDENT} FROM incident WHERE tenant_id = %(tenant)s AND id = %(id)s"
_FED = f"""SELECT {rows.INCIDENT} FROM incident WHERE tenant_id = %(tenant)s AND status IN {_UNRESOLVED} AND id = (
WITH RECURSIVE fed AS (
    SELECT id, status, merged_into FROM incident WHERE tenant_id = %(tenant)s AND md5(group_key) = md5(%(group_key)s)
    AND group_key = %(group_key)s AND group_key <> '' AND (status IN {_UNRESOLVED} OR merged_into IS NOT NULL)
    UNION
    SELECT i.id, i.status, i.merged_into FROM incident i JOIN fed ON i.tenant_id = %(tenant)s AND i.id = fed.merged_into
)
SELECT id FROM fed WHERE status IN {_UNRESOLVED} ORDER BY id DESC LIMIT 1) FOR UPDATE"""
_LAST = f"""SELECT {rows.INCIDENT} FROM incident WHERE tenant_id = %(tenant)s AND md5(group_key) = md5(%(group_key)s)
AND group_key = %(group_key)s AND group_key <> '' AND merged_into IS NULL AND status NOT IN {_UNRESOLVED}
ORDER BY id DESC LIMIT 1 FOR UPDATE"""
_APPEND = """INSERT INTO timeline (tenant_id, incident_id, id, kind, occurred_at, actor, source, text, url)
VALUES (%(tenant)s, %(incident_id)s, %(id)s, %(kind)s, %(occurred_at)s, %(actor)s, %(source)s, %(text)s, %(url)s)"""
_KEEP_ANALYSIS = """INSERT INTO analysis (tenant_id, incident_id, version, cause_service, cause_kind, event,
cause_confidence, cause, evidence_kinds, signatures) VALUES (%(tenant)s, %(id)s, %(version)s, %(service)s, %(kind)s,
%(event)s, %(confidence)s, %(cause)s, %(evidence_kinds)s, %(signatures)s)"""
LATEST_ANALYSIS = """SELECT version, cause_service, cause_kind, event FROM analysis
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s ORDER BY version DESC LIMIT 1"""
ANALYSIS = """SELECT event FROM analysis
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s AND version = %(version)s"""
_RENOUNCE = """UPDATE role_assignment SET renounced_at = %(at)s
WHERE tenant_id = %(tenant)s AND incident_id = %(incident_id)s AND role = %(role)s AND renounced_at IS NULL"""
_ASSUME = """INSERT INTO role_assignment (tenant_id, incident_id, role, person, assigned_by, assumed_at)
VALUES (%(tenant)s, %(incident_id)s, %(role)s, %(person)s, %(assigned_by)s, %(at)s)"""
_DUE = """INSERT INTO due (tenant_id, incident_id, subject, kind, due_at)
VALUES (%(tenant)s, %(incident_id)s, %(subject)s, %(kind)s, %(at)s)
ON CONFLICT (tenant_id, subject) DO UPDATE SET due_at = excluded.due_at"""
_NOT_DUE = "DELETE FROM due WHERE tenant_id = %(tenant)s AND subject = %(subject)s"
_TAKE_DUE = f"{_NOT_DUE} AND due_at <= now() RETURNING true"
_ONCE = """INSERT INTO idempotency_key (tenant_id, key, method, request_hash)
VALUES (%(tenant)s, %(key)s, %(method)s, %(digest)s) ON CONFLICT DO NOTHING RETURNING true"""
_ANSWERED = """SELECT method, request_hash, response FROM idempotency_key
WHERE tenant_id = %(tenant)s AND key = %(key)s"""
_KEEP_ANSWER = "UPDATE idempotency_key SET response = %(answer)s WHERE tenant_id = %(tenant)s AND key = %(key)s"
_FORGET_ANSWERS = """DELETE FROM idempotency_key
WHERE tenant_id = %(tenant)s AND created_at < now() - interval '24 hours'"""
_KEEP_TEMPLATE = """INSERT INTO message_template (tenant_id, channel, subject, body, updated_by, updated_at)
VALUES (%(tenant)s, %(channel)s, %(subject)s, %(body)s, %(updated_by)s, %(updated_at)s)
ON CONFLICT (tenant_id, channel) DO UPDATE SET subject = excluded.subject, body = excluded.body,
updated_by = excluded.updated_by, updated_at = excluded.updated_at"""
_DROP_TEMPLATE = "DELETE FROM message_template WHERE tenant_id = %(tenant)s AND channel = %(channel)s"


def _upsert(table: str, record: type, *keys: str) -> str:
    names = rows.columns(record).split(", ")
    values = ", ".join(f"%({name})s" for name in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    return (
        f"INSERT INTO {table} (tenant_id, {', '.join(names)}) VALUES (%(tenant)s, {values}) "
        f"ON CONFLICT (tenant_id, {', '.join(keys)}) DO UPDATE SET {changes}"
    )


def _insert(table: str, record: type) -> str:
    names = rows.columns(record).split(", ")
    return (
        f"INSERT INTO {table} (tenant_id, {', '.join(names)}) "
        f"VALUES (%(tenant)s, {', '.join(f'%({name})s' for name in names)})"
    )


_WRITE_RECORD = {
    Link: _insert("link", Link),
    StatusUpdate: _insert("status_update", StatusUpdate),
    Feedback: _insert("hypothesis_feedback", Feedback),
    Task: _upsert("task", Task, "id"),
    Postmortem: _upsert("postmortem", Postmortem, "incident_id"),
}


_KEEP_ALERT = _upsert("incident_alert", SeenAlert, "incident_id", "name")
_CARRIED = ", ".join(name for name in rows.columns(SeenAlert).split(", ") if name not in ("incident_id", "name"))
_BRING_ALERTS = f"""INSERT INTO incident_alert (tenant_id, incident_id, name, {_CARRIED})
SELECT tenant_id, %(target)s, CASE WHEN starts_with(name, '{MERGED}') THEN name ELSE %(mark)s || name END, {_CARRIED}
FROM incident_alert WHERE tenant_id = %(tenant)s AND incident_id = %(source)s ON CONFLICT DO NOTHING"""


class PostgresTransaction:
    """One open transaction of one tenant."""

    def __init__(self, conn: AsyncConnection[Any], tenant: str) -> None:
        self._conn = conn
        self._tenant = tenant
        self._locked: dict[str, Incident] = {}

    async def first_time(self, consumer: str, event_id: str) -> bool:
        """Record an event; False when this consumer has acted on it before."""
        return await inbox.first_time(self._conn, consumer, event_id)

    async def answered(self, once: Once) -> bytes | None:
        """Record a write's key; return the answer when it was done before; raises InvalidInput."""
        if await self._one(_ONCE, key=once.key, method=once.method, digest=once.digest):
            await self._do(_FORGET_ANSWERS)
            return None
        found = await self._one(_ANSWERED, key=once.key)
        if found is None:  # forgotten this very moment
            return await self.answered(once)
        if found["method"] != once.method or bytes(found["request_hash"]) != once.digest:
            raise InvalidInput("idempotency_key", f"the key {once.key!r} came with another request before")
        return bytes(found["response"] or b"")

    async def keep_answer(self, once: Once, answer: bytes) -> None:
        """Keep the answer to a write that `answered` has recorded."""
        await self._do(_KEEP_ANSWER, key=once.key, answer=answer)

    async def lock(self, incident_id: str) -> Incident | None:
        """Return an incident and keep others from changing it until the end."""
        return self._hold(await self._one(f"{GET} FOR UPDATE", id=incident_id))

    async def lock_unresolved(self, group_key: str) -> Incident | None:
        """Return the unresolved incident the group feeds, also by merging, and keep others from changing it."""
        return self._hold(await self._one(_FED, group_key=group_key))

    async def lock_last(self, group_key: str) -> Incident | None:
        """Return the latest incident of a group that is over and was not merged; keep others from changing it."""
        return self._hold(await self._one(_LAST, group_key=group_key))

    async def write(self, *decisions: Decision) -> tuple[Entry, ...]:
        """Write incidents, records, timelines and events; raises GroupAlreadyOpen."""
        entries: list[Entry] = []
        events: list[tuple[Topic, str, CloudEvent]] = []
        for decision in decisions:
            incident, change = decision.incident, decision.change
            if incident is None or change is None:
                raise ValueError(f"nothing to write for {decision.reason}")
            await self._save(incident, change)
            for record in decision.records:
                await self._keep(incident.id, record)
            written = [await self._append(incident.id, entry) for entry in decision.entries]
            events.append((INCIDENTS_EVENTS, incident.id, self._event(decision, incident, written[-1])))
            entries += written
        await outbox.enqueue_all(self._conn, events)
        return tuple(entries)

    async def keep_alerts(self, alerts: Sequence[SeenAlert]) -> None:
        """Keep alerts as last told, each over what was kept of it."""
        if alerts:
            async with self._conn.cursor() as cursor:
                await cursor.executemany(_KEEP_ALERT, [self._values(**rows.seen_alert_values(a)) for a in alerts])

    async def bring_alerts(self, source: Incident, target_id: str) -> None:
        """Copy the alerts of an incident to the one it was merged into, under their names there."""
        await self._do(_BRING_ALERTS, source=source.id, target=target_id, mark=merged_name(source.group_key, ""))

    async def latest_analysis(self, incident_id: str) -> StoredAnalysis | None:
        """Return what the latest analysis concluded."""
        row = await self._one(LATEST_ANALYSIS, id=incident_id)
        if row is None:
            return None
        return StoredAnalysis(row["version"], Conclusion(row["cause_service"], row["cause_kind"]))

    async def keep_analysis(self, analysis: Analysis, encoded: bytes) -> None:
        """Keep an analysis under its version."""
        found = analysis.conclusion
        await self._do(
            _KEEP_ANALYSIS, id=analysis.incident_id, version=analysis.version, service=found.service,
            kind=found.cause_kind, event=encoded, confidence=analysis.confidence,
            cause=analysis.statement if analysis.cause_named else "", evidence_kinds=list(analysis.evidence_kinds),
            signatures=list(analysis.signatures),
        )  # fmt: skip

    async def analysis(self, incident_id: str, version: int) -> bytes | None:
        """Return an analysis as it was received."""
        row = await self._one(ANALYSIS, id=incident_id, version=version)
        return bytes(row["event"]) if row else None

    async def count(self, kept: Kept, incident_id: str) -> int:
        """Return how many of something an incident has."""
        statement = f"SELECT count(*) FROM {kept.value} WHERE tenant_id = %(tenant)s AND incident_id = %(id)s"
        row = await self._one(statement, id=incident_id)
        return int(row["count"]) if row else 0

    async def task(self, task_id: str) -> Task | None:
        """Return a task."""
        statement = f"SELECT {rows.columns(Task)} FROM task WHERE tenant_id = %(tenant)s AND id = %(id)s"
        row = await self._one(statement, id=task_id)
        return rows.task(row) if row else None

    async def tasks(self, incident_id: str) -> list[Task]:
        """Return an incident's tasks, oldest first."""
        statement = f"""SELECT {rows.columns(Task)} FROM task
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s ORDER BY id"""
        return [rows.task(row) for row in await rows.every(self._conn, statement, self._values(id=incident_id))]

    async def postmortem(self, incident_id: str) -> Postmortem | None:
        """Return an incident's postmortem."""
        statement = f"""SELECT {rows.columns(Postmortem)} FROM postmortem
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s"""
        row = await self._one(statement, id=incident_id)
        return rows.postmortem(row) if row else None

    async def timeline(self, incident_id: str, limit: int) -> list[Entry]:
        """Return the first entries of a timeline."""
        statement = """SELECT id, kind, occurred_at, actor, source, text, url FROM timeline
WHERE tenant_id = %(tenant)s AND incident_id = %(id)s ORDER BY number LIMIT %(limit)s"""
        found = await rows.every(self._conn, statement, self._values(id=incident_id, limit=limit))
        return [rows.entry(row) for row in found]

    async def keep_template(self, template: Template) -> None:
        """Keep a channel's template; one without a body removes it."""
        statement = _KEEP_TEMPLATE if template.body else _DROP_TEMPLATE
        await self._do(statement, **rows.record_values(template))

    async def take_due(self, item: DueItem) -> bool:
        """Take an item off the list of what is due; False when it is not there any more."""
        return await self._one(_TAKE_DUE, subject=item.subject) is not None

    def _hold(self, row: rows.Row | None) -> Incident | None:
        if row is None:
            return None
        found = rows.incident(row)
        self._locked[found.id] = found
        return found

    async def _save(self, incident: Incident, change: Change) -> None:
        if change is Change.OPENED:
            if await self._one(rows.INSERT_INCIDENT, **rows.incident_values(incident)) is None:
                raise GroupAlreadyOpen(incident.group_key)
        elif self._locked.get(incident.id) != incident:
            await self._do(rows.UPDATE_INCIDENT, **rows.incident_values(incident))

    async def _keep(self, incident_id: str, record: Record) -> None:
        match record:
            case RoleChange():
                values = rows.record_values(record) | {"incident_id": incident_id}
                await self._do(_RENOUNCE, **values)
                if record.person:
                    await self._do(_ASSUME, **values)
            case Due():
                values = rows.record_values(record) | {"incident_id": incident_id}
                await self._do(_NOT_DUE if record.at is None else _DUE, **values)
            case _:
                await self._do(_WRITE_RECORD[type(record)], **rows.record_values(record))

    async def _append(self, incident_id: str, entry: Entry) -> Entry:
        numbered = replace(entry, id=uuid7(entry.occurred_at))
        await self._do(_APPEND, incident_id=incident_id, **rows.record_values(numbered))
        return numbered

    def _event(self, decision: Decision, incident: Incident, entry: Entry) -> CloudEvent:
        return CloudEvent(
            id=entry.id,
            source=EVENT_SOURCE,
            time=entry.occurred_at,
            subject=incident.id,
            tenant=self._tenant,
            data=event_message(decision, incident, entry),
        )

    async def _do(self, statement: str, /, **values: Any) -> None:
        await self._conn.execute(statement, self._values(**values))

    async def _one(self, statement: str, /, **values: Any) -> rows.Row | None:
        return await rows.first(self._conn, statement, self._values(**values))

    def _values(self, **values: Any) -> rows.Row:
        return values | {"tenant": self._tenant}
