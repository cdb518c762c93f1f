"""Alerts, groups and the notification log in Postgres, schema `alert`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from libs.kernel.ids import stable_id
from libs.messaging import topics
from libs.messaging.cloudevents import CloudEvent
from libs.storage import inbox, outbox
from libs.storage.postgres import Pool, transaction
from services.alert_router.domain.alert import Alert
from services.alert_router.domain.dedup import Entry
from services.alert_router.domain.grouping import Clock
from services.alert_router.domain.no_data import sender_of
from services.alert_router.domain.route import Group
from services.alert_router.ports import DueGroup

CONSUMER = "alert_router"
COLUMNS = (
    "labels, annotations, starts_at, ends_at, updated_at, ends_at_is_timeout, generator_url, source, service, "
    "no_data_since"
)
# The update that changes nothing locks the row, so that join answers the same whether it made the group or found it.
JOIN = """
    INSERT INTO alert_group (tenant_id, group_id, group_key, group_labels, next_flush_at)
    VALUES (%(tenant)s, %(id)s, %(key)s, %(labels)s, 'infinity')
    ON CONFLICT (tenant_id, group_id) DO UPDATE SET group_key = excluded.group_key
    RETURNING next_flush_at < 'infinity', CASE WHEN next_flush_at < 'infinity' THEN next_flush_at END, flushed
"""
KEEP_ALERT = f"""
    INSERT INTO alert (tenant_id, fingerprint, group_id, {COLUMNS})
    VALUES (%(tenant)s, %(fingerprint)s, %(id)s, %(labels)s, %(annotations)s, %(starts_at)s, %(ends_at)s,
        %(updated_at)s, %(timeout)s, %(generator_url)s, %(source)s, %(service)s, %(no_data_since)s)
    ON CONFLICT (tenant_id, fingerprint) DO UPDATE SET group_id = excluded.group_id, grouped = true,
        annotations = excluded.annotations, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        updated_at = excluded.updated_at, ends_at_is_timeout = excluded.ends_at_is_timeout,
        generator_url = excluded.generator_url, source = excluded.source, service = excluded.service,
        no_data_since = excluded.no_data_since
"""
HEARD = """
    SELECT max(updated_at) FROM alert
    WHERE tenant_id = %s AND source = %s AND starts_with(generator_url, %s) AND updated_at > %s
"""
KEEP_CLOCK = "UPDATE alert_group SET next_flush_at = %s, flushed = %s WHERE tenant_id = %s AND group_id = %s"
DUE_GROUPS = """
    SELECT group_id FROM alert_group WHERE tenant_id = %s AND next_flush_at <= %s ORDER BY next_flush_at LIMIT 200
"""
LOCK_DUE = """
    SELECT group_key, group_labels FROM alert_group
    WHERE tenant_id = %s AND group_id = %s AND next_flush_at <= %s FOR UPDATE SKIP LOCKED
"""
MEMBERS = f"SELECT {COLUMNS} FROM alert WHERE tenant_id = %s AND group_id = %s AND grouped"
LEAVE = "UPDATE alert SET grouped = false WHERE tenant_id = %s AND group_id = %s AND fingerprint = ANY(%s)"
ENTRY = "SELECT firing, resolved, notified_at, silent FROM notification_log WHERE tenant_id = %s AND group_id = %s"
KEEP_ENTRY = """
    INSERT INTO notification_log (tenant_id, group_id, firing, resolved, notified_at, silent)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (tenant_id, group_id)
    DO UPDATE SET firing = excluded.firing, resolved = excluded.resolved, notified_at = excluded.notified_at,
        silent = excluded.silent
"""
END_GROUP = "DELETE FROM alert_group WHERE tenant_id = %s AND group_id = %s"
FORGET_ALERTS = "DELETE FROM alert WHERE tenant_id = %s AND NOT grouped AND ends_at < %s"
FORGET_LOG = """
    DELETE FROM notification_log WHERE tenant_id = %s AND notified_at < %s AND group_id NOT IN
        (SELECT group_id FROM alert_group WHERE tenant_id = %s)
"""
KEEP_INBOX = timedelta(days=8)  # a day more than the topic keeps its events


def group_id(group: Group) -> str:
    """Return a group's id: its key can be longer than an index allows."""
    return stable_id(group.key)


class PostgresSession:
    """One transaction of one tenant."""

    def __init__(self, connection: AsyncConnection[tuple[Any, ...]], tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    async def first_time(self, event_id: str) -> bool:
        """Record an event; False when it was acted on before."""
        return await inbox.first_time(self._connection, CONSUMER, event_id)

    async def join(self, group: Group) -> Clock | None:
        """Lock a group, creating it if need be; its clock is None when it is new."""
        row = await self._one(
            JOIN,
            {"tenant": self._tenant, "id": group_id(group), "key": group.key, "labels": Jsonb(dict(group.labels))},
        )
        known, next_flush_at, flushed = row or (False, None, False)
        return Clock(next_flush_at, flushed) if known else None

    async def alert(self, fingerprint: str) -> Alert | None:
        """Return an alert as last kept."""
        row = await self._one(
            f"SELECT {COLUMNS} FROM alert WHERE tenant_id = %s AND fingerprint = %s", (self._tenant, fingerprint)
        )
        return Alert(*row) if row else None

    async def keep(self, alert: Alert, group: Group, clock: Clock) -> None:
        """Keep an alert as a member of a group, and the group's clock."""
        await self._connection.execute(KEEP_ALERT, {
            "tenant": self._tenant, "fingerprint": alert.fingerprint, "id": group_id(group),
            "labels": Jsonb(dict(alert.labels)), "annotations": Jsonb(dict(alert.annotations)),
            "starts_at": alert.starts_at, "ends_at": alert.ends_at, "updated_at": alert.updated_at,
            "timeout": alert.timeout, "generator_url": alert.generator_url, "source": alert.source,
            "service": alert.service, "no_data_since": alert.no_data_since,
        })  # fmt: skip
        await self._keep_clock(group, clock)

    async def sender_heard(self, alert: Alert) -> datetime | None:
        """Return when the sender of an alert last sent any; None when it cannot be told from other senders."""
        origin = sender_of(alert)
        row = await self._one(HEARD, (self._tenant, alert.source, origin, alert.updated_at)) if origin else None
        return row[0] if row else None

    async def due(self, group_id: str, now: datetime) -> DueGroup | None:
        """Lock a group if its flush is due and nobody else is at it."""
        locked = await self._one(LOCK_DUE, (self._tenant, group_id, now))
        if locked is None:
            return None
        members = await (await self._connection.execute(MEMBERS, (self._tenant, group_id))).fetchall()
        told = await self._one(ENTRY, (self._tenant, group_id))
        entry = Entry(frozenset(told[0]), frozenset(told[1]), told[2], frozenset(told[3])) if told else None
        return DueGroup(Group(locked[0], locked[1]), tuple(Alert(*row) for row in members), entry)

    async def flushed(self, group: Group, gone: Sequence[Alert], entry: Entry | None, clock: Clock | None) -> None:
        """Keep the outcome of a flush: members gone, what was told, the clock; without a clock the group ends."""
        key = (self._tenant, group_id(group))
        if gone:
            await self._connection.execute(LEAVE, (*key, [a.fingerprint for a in gone]))
        if entry:
            told = (sorted(entry.firing), sorted(entry.resolved), entry.at, sorted(entry.silent))
            await self._connection.execute(KEEP_ENTRY, (*key, *told))
        if clock:
            await self._keep_clock(group, clock)
        else:
            await self._connection.execute(END_GROUP, key)

    async def tell(self, group: Group, event: CloudEvent) -> None:
        """Add a notification to the transaction, as its last statement."""
        await outbox.enqueue(self._connection, topics.ALERTS_NOTIFICATIONS, group.key, event)

    async def _keep_clock(self, group: Group, clock: Clock) -> None:
        values = (clock.next_flush_at, clock.flushed, self._tenant, group_id(group))
        await self._connection.execute(KEEP_CLOCK, values)

    async def _one(self, statement: str, values: Any) -> tuple[Any, ...] | None:
        return await (await self._connection.execute(statement, values)).fetchone()


class PostgresAlertStore:
    """Alerts, groups and the notification log, in the schema its pool sees first."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def session(self, tenant: str) -> AsyncIterator[PostgresSession]:
        """Open a transaction; raises Unavailable when the database is down."""
        async with transaction(self._pool, tenant) as connection:
            yield PostgresSession(connection, tenant)

    async def due_groups(self, tenant: str, now: datetime) -> list[str]:
        """Return the ids of groups whose flush is due, the longest due first."""
        async with transaction(self._pool, tenant) as connection:
            rows = await (await connection.execute(DUE_GROUPS, (tenant, now))).fetchall()
        return [row[0] for row in rows]

    async def forget(self, tenant: str, now: datetime, alerts_after: timedelta, log_after: timedelta) -> None:
        """Delete alerts that ended and groups told of longer ago than that, unless a group still has them."""
        async with transaction(self._pool, tenant) as connection:
            await connection.execute(FORGET_ALERTS, (tenant, now - alerts_after))
            await connection.execute(FORGET_LOG, (tenant, now - log_after, tenant))
            await inbox.forget(connection, KEEP_INBOX)
