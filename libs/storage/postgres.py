"""Postgres: one pool per service, one schema per owner, one tenant per transaction."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from libs.kernel.errors import Unavailable

Pool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]
CONNECT_SECONDS = 15.0
TRUST_SECONDS = 1.0  # a connection that answered so lately is handed out unasked


def containing(word: str) -> str:
    r"""Return the LIKE pattern of texts that hold a word as it is: `%`, `_` and `\` mean themselves."""
    return "%" + word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


class _Checker:
    """Asks a pooled connection whether it still lives, unless it just answered: a round trip saved on a busy pool."""

    def __init__(self) -> None:
        self._answered: WeakKeyDictionary[psycopg.AsyncConnection[Any], float] = WeakKeyDictionary()

    async def __call__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        now = time.monotonic()
        if now - self._answered.get(connection, 0.0) > TRUST_SECONDS:
            await AsyncConnectionPool.check_connection(connection)
            self._answered[connection] = now


async def open_pool(url: str, schema: str, max_size: int = 8) -> Pool:
    """Open a pool whose connections see `schema` first; raises Unavailable when the server does not answer."""
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max_size,
        open=False,
        kwargs={
            "options": f"-c search_path={schema},public",
            "application_name": f"incidentscope_{schema}",
            "autocommit": True,  # outside `transaction`, which begins and commits by itself
        },
        check=_Checker(),
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

    Statements are pipelined: they are sent together, BEGIN and COMMIT among them, and the server is waited for only
    where a result is fetched and at the end. So ask for rows (RETURNING), not for `rowcount`, expect a statement's
    error there, and open neither a nested transaction nor a nested pipeline: each would wait twice.
    Raises Unavailable when the server is gone; statements' own errors pass through.
    """
    try:
        async with pool.connection() as connection, connection.pipeline():
            await connection.execute("BEGIN")
            await connection.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
            yield connection
            await connection.execute("COMMIT")  # not reached, or not carried out, after an error: the pool rolls back
    except psycopg.errors.PipelineAborted:  # an error of a statement was passed over: ours, not the server's
        raise
    except (PoolTimeout, psycopg.OperationalError) as exc:
        raise Unavailable(f"Postgres does not answer: {exc}") from exc
