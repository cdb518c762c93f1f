"""Tenants and keys from Postgres, kept in memory and read again the moment they change.

A door answers from memory, so it works on while Postgres is away; knowledge older than `most_stale` seconds is not
acted on, since a key may have been revoked meanwhile: callers then hear that they should come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import psycopg
import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection

from libs.access.denied import AccessDenied
from libs.access.directory import Directory, key_of
from libs.kernel.errors import Unavailable

STALE = Gauge("incidentscope_access_staleness_seconds", "Age of what this process knows of tenants and keys")
POLL_SECONDS = 5.0  # a notification can be lost with a connection
RETRY_SECONDS = 1.0
_CONNECTION = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 5}
_READ = """
SELECT t.id, k.id, k.digest, k.name, k.role, k.scopes, k.requests_per_second, k.expires_at
FROM access.tenant AS t LEFT JOIN access.api_key AS k ON k.tenant_id = t.id AND k.revoked_at IS NULL"""
log = structlog.get_logger()


class DirectoryFeed:
    """A Source; `run` keeps it current until cancelled, whatever happens to the database meanwhile."""

    def __init__(self, url: str, most_stale: float) -> None:
        self._url = url
        self._most_stale = most_stale
        self._directory = Directory()
        self._read_at: float | None = None
        self._loaded = asyncio.Event()
        STALE.set_function(self.age)

    def age(self) -> float:
        """Return how old the knowledge is, in seconds; infinite before the first reading."""
        return float("inf") if self._read_at is None else time.monotonic() - self._read_at

    def directory(self) -> Directory:
        """Return what was read last; raises AccessDenied when that is too long ago."""
        if self.age() > self._most_stale:
            raise AccessDenied("access_unknown", "tenants and keys cannot be looked up now; try again", RETRY_SECONDS)
        return self._directory

    def latest(self) -> Directory:
        """Return what was read last."""
        return self._directory

    def problem(self) -> str | None:
        """Return why nobody can be let in, or None. A shorter outage is none: doors work from memory."""
        if self.age() <= self._most_stale:
            return None
        return "tenants and keys were never read" if self._read_at is None else f"last read {self.age():.0f} s ago"

    async def loaded(self, seconds: float) -> None:
        """Wait for the first reading; raises Unavailable."""
        try:
            await asyncio.wait_for(self._loaded.wait(), seconds)
        except TimeoutError as exc:
            raise Unavailable(f"tenants and keys could not be read from Postgres within {seconds:.0f} s") from exc

    async def run(self) -> None:
        """Follow the database."""
        while True:
            try:
                await self._follow()
            except (psycopg.Error, OSError) as exc:
                log.warning("access_feed_waits", error=str(exc).strip())
            except Exception as exc:  # what was known stays in force until it is too old; see `problem`
                log.error("access_feed_failed", error=repr(exc), exc_info=exc)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        connect = AsyncConnection.connect(self._url, autocommit=True, application_name="access", **_CONNECTION)  # type: ignore[arg-type]
        async with await connect as conn:
            await conn.execute("LISTEN access")
            while True:
                async with asyncio.timeout(POLL_SECONDS):
                    self._adopt(await read(conn))
                async with aclosing(conn.notifies(timeout=POLL_SECONDS, stop_after=1)) as told:
                    async for _ in told:
                        pass

    def _adopt(self, directory: Directory) -> None:
        self._directory = directory
        self._read_at = time.monotonic()
        self._loaded.set()


async def read(conn: AsyncConnection[Any]) -> Directory:
    """Return all tenants and the keys that are not revoked."""
    return _directory(await (await conn.execute(_READ)).fetchall())


def read_once(url: str) -> Directory:
    """Return the same for a command that ends soon; raises Unavailable."""
    try:
        with psycopg.connect(url, connect_timeout=10) as conn:
            return _directory(conn.execute(_READ).fetchall())
    except psycopg.Error as exc:
        raise Unavailable(f"tenants cannot be read from Postgres: {str(exc).strip()}") from exc


def _directory(rows: Sequence[tuple[Any, ...]]) -> Directory:
    keys = [
        key_of(key_id, digest, tenant, name, role, scopes, rate, expires_at)
        for tenant, key_id, digest, name, role, scopes, rate, expires_at in rows
        if key_id is not None
    ]
    return Directory.of((row[0] for row in rows), [key for key in keys if key is not None])
