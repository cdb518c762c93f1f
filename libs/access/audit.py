"""Who did what, and who was refused: rows that services can add and read, and neither change nor remove.

Entries are written in the background, a few times a second, so that no call waits for them: a process that is killed
loses the last quarter of a second. What a change itself leaves behind, such as an incident's timeline, commits with it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import psycopg
import structlog
from prometheus_client import Counter
from psycopg import AsyncConnection

from libs.access.directory import utc_now
from libs.access.identity import Identity

LOST = Counter(
    "incidentscope_audit_lost", "Audit entries dropped: the database was away too long, or does not take them"
)
MOST_WAITING = 20_000
MOST_AT_ONCE = 500
FLUSH_SECONDS = 0.25
RETRY_SECONDS = 1.0
SUBJECT_CHARS = 200
_INSERT = (
    "INSERT INTO access.audit (tenant_id, at, service, actor, key_id, role, action, subject, outcome, reason)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `outcome` is the name of a gRPC status."""

    caller: Identity
    action: str
    outcome: str
    subject: str = ""
    reason: str = ""
    at: datetime = field(default_factory=utc_now)

    def row(self, service: str) -> tuple[object, ...]:
        """Return it as the table has it."""
        who = self.caller
        subject = self.subject[:SUBJECT_CHARS].replace("\x00", "")
        return (who.tenant, self.at, service, who.actor, who.key_id, who.role.value, self.action, subject,
                self.outcome, self.reason)  # fmt: skip


class AuditLog:
    """Writes entries for one service over a connection of its own."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._waiting: deque[Entry] = deque()
        self._begun = asyncio.Event()

    def record(self, entry: Entry) -> None:
        """Have an entry written soon. When the database is away for long, the oldest are dropped and counted."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            LOST.inc()
        self._waiting.append(entry)
        self._begun.set()

    async def run(self) -> None:
        """Write until cancelled, then write what is left."""
        try:
            while True:
                try:
                    await self._write_on()
                except Exception as exc:
                    expected = isinstance(exc, psycopg.Error | OSError)
                    error = str(exc).strip() or repr(exc)
                    log.warning("audit_waits", error=error, waiting=len(self._waiting), exc_info=not expected)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            await self._finish()

    async def _write_on(self) -> None:
        await self._begun.wait()  # no connection before there is something to write
        async with await self._connect() as conn:
            while True:
                await self._flush(conn)
                await asyncio.sleep(FLUSH_SECONDS)

    async def _finish(self) -> None:
        if self._waiting:
            try:
                async with asyncio.timeout(3), await self._connect() as conn:
                    await self._flush(conn)
            except (psycopg.Error, OSError, TimeoutError) as exc:
                log.error("audit_lost", entries=len(self._waiting), error=str(exc).strip())

    async def _connect(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(
            self._url, autocommit=True, application_name=f"audit-{self._service}", connect_timeout=5
        )

    async def _flush(self, conn: AsyncConnection[Any]) -> None:
        while self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_AT_ONCE))]
            try:
                await self._insert_readable(conn, taken)
            except BaseException:  # also a cancellation: what was taken is written by the next attempt
                self._waiting.extendleft(reversed(taken))
                raise

    async def _insert_readable(self, conn: AsyncConnection[Any], entries: Sequence[Entry]) -> None:
        """Insert all, or one by one when the database does not take them together: what it never takes is dropped."""
        try:
            return await self._insert(conn, entries)
        except (psycopg.DataError, psycopg.IntegrityError, ValueError) as exc:
            log.warning("audit_one_by_one", entries=len(entries), error=str(exc).strip())
        for entry in entries:
            try:
                await self._insert(conn, [entry])
            except (psycopg.DataError, psycopg.IntegrityError, ValueError) as exc:
                LOST.inc()
                log.error("audit_entry_lost", tenant=entry.caller.tenant, action=entry.action, error=str(exc).strip())
        return None

    async def _insert(self, conn: AsyncConnection[Any], entries: Sequence[Entry]) -> None:
        """Insert in one transaction, tenant by tenant: row-level security lets rows of the named tenant in only."""
        by_tenant = groupby(sorted(entries, key=lambda e: e.caller.tenant), key=lambda e: e.caller.tenant)
        async with conn.transaction(), conn.cursor() as cursor:
            for tenant, group in by_tenant:
                await cursor.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
                await cursor.executemany(_INSERT, [entry.row(self._service) for entry in group])
