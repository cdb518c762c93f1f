"""Postgres: one pool per service, one schema per owner, one tenant per transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from libs.kernel.errors import Unavailable

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
CONNECT_SECONDS = 15.0


async def open_pool(url: str, schema: str, max_size: int = 8) -> Pool:
    """Open a pool whose connections see `schema` first; raises Unavailable when the server does not answer."""
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max_size,
        open=False,
        kwargs={"options": f"-c search_path={schema},public", "application_name": f"incidentscope_{schema}"},
        check=AsyncConnectionPool.check_connection,
    )
    try:
        await pool.open(wait=True, timeout=CONNECT_SECONDS)
    except PoolTimeout as exc:
        await pool.close()
        raise Unavailable(f"Postgres does not answer within {CONNECT_SECONDS:.0f} s") from exc
    return pool


@asynccontextmanager
async def transaction(pool: Pool, tenant: str) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
    """Yield a connection in a transaction bound to a tenant; commits at the end, rolls back on an error.

    Raises Unavailable when the server is gone; statements' own errors pass through.
    """
    try:
        async with pool.connection() as connection, connection.transaction():
            await connection.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
            yield connection
    except (PoolTimeout, psycopg.OperationalError) as exc:
        raise Unavailable(f"Postgres does not answer: {exc}") from exc
