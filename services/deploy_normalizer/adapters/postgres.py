"""Deploys in PostgreSQL schema `deploy`: the report, the deploy it changes and the event commit together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.messaging import topics
from libs.storage import inbox, outbox
from libs.storage.postgres import Pool, containing, transaction
from services.deploy_normalizer.adapters.messages import deploy_changed
from services.deploy_normalizer.adapters.rows import (
    COLUMNS,
    deploy_from_row,
    deploy_to_row,
    report_from_json,
    report_to_json,
)
from services.deploy_normalizer.domain.deploy import Deploy, Report, combine, deploy_id, same_reports
from services.deploy_normalizer.domain.lineage import moved
from services.deploy_normalizer.domain.query import SEARCHED, DeployQuery
from services.deploy_normalizer.ports import Effect, Recorded, Unread

log = structlog.get_logger()
SCHEMA = "deploy"
WATCH_SECONDS = 3.0
DELIVERIES_KEPT = timedelta(days=30)  # GitHub offers redelivery for three days
DEPLOYMENTS_TELL = timedelta(days=90)  # since its last one a repository counts as one that sends deployments
UNREAD_KEPT = 1000
EARLIER_JUDGED_BY = 200  # deploys of the service that a movement is judged by; more change nothing in practice
LATER_JUDGED_ANEW = 50

_COLUMNS = ", ".join(COLUMNS)
_LOCK_DEPLOY = "SELECT pg_advisory_xact_lock(hashtextextended('deploy/' || %s, 0))"
_LOCK_SERVICE = "SELECT pg_advisory_xact_lock(hashtextextended('deploy/lineage/' || %s, 0))"  # after the deploy's
_ADD_REPORT = """
INSERT INTO report (tenant_id, deploy_id, event, status, reported_at, content)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_REPORTS = "SELECT content FROM report WHERE tenant_id = %s AND deploy_id = %s"
_FIND = f"SELECT {_COLUMNS} FROM deploy WHERE tenant_id = %s AND id = %s"
_PUT = f"""
INSERT INTO deploy ({_COLUMNS}) VALUES ({", ".join(["%s"] * len(COLUMNS))})
ON CONFLICT (tenant_id, id) DO UPDATE SET {", ".join(f"{c} = EXCLUDED.{c}" for c in COLUMNS)}"""
_RELINK = "UPDATE deploy SET movement = %s, previous_id = %s, source_id = %s WHERE tenant_id = %s AND id = %s"
_NEIGHBOURS = f"""
(SELECT {_COLUMNS} FROM deploy WHERE tenant_id = %(tenant)s AND service = %(service)s AND kind = 'deploy'
    AND started_at < %(start)s ORDER BY started_at DESC, id DESC LIMIT {EARLIER_JUDGED_BY})
UNION ALL
(SELECT {_COLUMNS} FROM deploy WHERE tenant_id = %(tenant)s AND service = %(service)s AND kind = 'deploy'
    AND started_at >= %(start)s ORDER BY started_at, id LIMIT {LATER_JUDGED_ANEW})"""
_TELLS_DEPLOYMENTS = """
SELECT EXISTS (SELECT 1 FROM deploy WHERE tenant_id = %s AND provider = 'github' AND repository = %s
  AND event IN ('deployment', 'deployment_status') AND touched_until > %s)"""
_KEEP_UNREAD = """
INSERT INTO unread_delivery (tenant_id, provider, delivery, event, reason, problem, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, provider, delivery) DO UPDATE SET times = unread_delivery.times + 1"""
_FORGET_UNREAD = """
DELETE FROM unread_delivery WHERE tenant_id = %(tenant)s AND (received_at < now() - %(kept)s::interval
  OR received_at < (SELECT received_at FROM unread_delivery WHERE tenant_id = %(tenant)s
                    ORDER BY received_at DESC OFFSET %(most)s LIMIT 1))"""
_TOUCHING = f"""
SELECT {_COLUMNS} FROM deploy
WHERE tenant_id = %(tenant)s AND started_at < %(end)s AND touched_until >= %(start)s
  AND (%(any_service)s OR service = ANY(%(services)s))
  AND (%(any_environment)s OR environment = ANY(%(environments)s))
  AND (%(any_kind)s OR kind = ANY(%(kinds)s))
  AND (%(any_status)s OR status = ANY(%(statuses)s))
  AND NOT EXISTS (SELECT 1 FROM unnest(%(words)s::text[]) word
                  WHERE concat_ws(' ', {", ".join(SEARCHED)}) NOT ILIKE word)
  AND (%(after_id)s::text IS NULL OR (started_at, id) < (%(after_start)s::timestamptz, %(after_id)s::text))
ORDER BY started_at DESC, id DESC LIMIT %(limit)s"""

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class PostgresDeploys:
    """Implements ports.DeployStore."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._problem: str | None = None

    async def record(self, tenant: str, report: Report, delivery: str) -> Recorded:
        """Add a report and announce the change to its deploy in one transaction; raises Unavailable."""
        async with transaction(self._pool, tenant) as conn:
            consumer = f"{report.provider}_webhook"
            if delivery and not await inbox.first_time(conn, consumer, f"{tenant}/{delivery}"):
                return Recorded(Effect.DUPLICATE_DELIVERY, None)
            key = deploy_id(tenant, report.provider, report.external_id)
            await conn.execute(_LOCK_DEPLOY, (key,))
            after = combine(tenant, await _with_report(conn, tenant, key, report))
            await conn.execute(_LOCK_SERVICE, (f"{tenant}/{after.service}",))
            before = await _find(conn, tenant, key)
            if before is not None and same_reports(before, after):
                return Recorded(Effect.UNCHANGED, before)
            changed = moved(after, await _neighbours(conn, after))
            await self._put(conn, changed)
            return Recorded(Effect.RECORDED, changed[0])

    async def _put(self, conn: Connection, changed: list[Deploy]) -> None:
        """Keep the deploy that changed and what its neighbours now follow from, and announce them all."""
        await conn.execute(_PUT, deploy_to_row(changed[0]))
        for later in changed[1:]:
            link = (later.movement, later.previous_id, later.source_id, later.tenant, later.id)
            await conn.execute(_RELINK, link)
        now = self._clock.now()
        events = [(topics.DEPLOYS_EVENTS, deploy.service, deploy_changed(deploy, now)) for deploy in changed]
        await outbox.enqueue_all(conn, events)

    async def keep_unread(self, tenant: str, unread: Unread) -> None:
        """Keep a delivery that could not be read, or count it once more; raises Unavailable."""
        row = (
            tenant, unread.provider, unread.delivery, unread.event, unread.reason, unread.problem, unread.body
        )  # fmt: skip
        async with transaction(self._pool, tenant) as conn:
            await conn.execute(_KEEP_UNREAD, row)

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None; raises Unavailable."""
        async with transaction(self._pool, tenant) as conn:
            return await _find(conn, tenant, deploy_id)

    async def tells_deployments(self, tenant: str, repository: str) -> bool:
        """Tell whether GitHub reported deployments of a repository lately; raises Unavailable."""
        since = self._clock.now() - DEPLOYMENTS_TELL
        async with transaction(self._pool, tenant) as conn:
            cursor = await conn.execute(_TELLS_DEPLOYMENTS, (tenant, repository, since))
            row = await cursor.fetchone()
        return bool(row and row[0])

    async def touching(self, tenant: str, query: DeployQuery, limit: int) -> list[Deploy]:
        """Return up to `limit` deploys that touched the window, newest first; raises Unavailable."""
        after, only = query.after, query.only
        parameters = {
            "tenant": tenant,
            "start": query.window.start,
            "end": query.window.end,
            "services": list(query.services),
            "any_service": not query.services,
            "environments": list(only.environments),
            "any_environment": not only.environments,
            "kinds": list(only.kinds),
            "any_kind": not only.kinds,
            "statuses": list(only.statuses),
            "any_status": not only.statuses,
            "words": [containing(word) for word in only.words],
            "after_start": after.started_at if after else None,
            "after_id": after.id if after else None,
            "limit": limit,
        }
        async with transaction(self._pool, tenant) as conn:
            cursor = await conn.execute(_TOUCHING, parameters)
            return [deploy_from_row(row) for row in await cursor.fetchall()]

    async def forget_deliveries(self) -> int:
        """Drop delivery ids older than DELIVERIES_KEPT and return how many; raises Unavailable."""
        async with transaction(self._pool, "") as conn:
            return await inbox.forget(conn, DELIVERIES_KEPT)

    async def forget_unread(self, tenant: str) -> None:
        """Drop a tenant's unread deliveries beyond DELIVERIES_KEPT and the newest UNREAD_KEPT; raises Unavailable."""
        async with transaction(self._pool, tenant) as conn:
            parameters = {"tenant": tenant, "kept": DELIVERIES_KEPT, "most": UNREAD_KEPT - 1}
            await conn.execute(_FORGET_UNREAD, parameters)

    async def watch(self) -> None:
        """Keep `problem` current until cancelled."""
        while True:
            self._problem = await self._probe()
            await asyncio.sleep(WATCH_SECONDS)

    def problem(self) -> str | None:
        """Return why webhooks cannot be kept now, or None."""
        return self._problem

    async def _probe(self) -> str | None:
        try:
            async with asyncio.timeout(WATCH_SECONDS), transaction(self._pool, "") as conn:
                await conn.execute("SELECT 1 FROM deploy LIMIT 1")
        except (Unavailable, TimeoutError):
            return "Postgres does not answer"
        except Exception as exc:
            log.error("postgres_probe_failed", error=repr(exc), exc_info=exc)
            return f"Postgres refuses: {exc}"
        return None


async def _with_report(conn: Connection, tenant: str, key: str, report: Report) -> list[Report]:
    content = Jsonb(report_to_json(report))
    await conn.execute(_ADD_REPORT, (tenant, key, report.event, report.status, report.at, content))
    cursor = await conn.execute(_REPORTS, (tenant, key))
    return [report_from_json(row[0]) for row in await cursor.fetchall()]


async def _find(conn: Connection, tenant: str, key: str) -> Deploy | None:
    cursor = await conn.execute(_FIND, (tenant, key))
    row = await cursor.fetchone()
    return deploy_from_row(row) if row else None


async def _neighbours(conn: Connection, deploy: Deploy) -> list[Deploy]:
    parameters = {"tenant": deploy.tenant, "service": deploy.service, "start": deploy.started_at}
    cursor = await conn.execute(_NEIGHBOURS, parameters)
    return [deploy_from_row(row) for row in await cursor.fetchall()]
