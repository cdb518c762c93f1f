"""Transactions as the stores use them, on a real Postgres: one tenant each, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from libs.kernel.errors import Unavailable
from libs.storage.postgres import Pool, open_pool, transaction

if TYPE_CHECKING:
    from tests.servers import Servers


@asynccontextmanager
async def place(stack: Servers) -> AsyncIterator[Pool]:
    """Yield a pool of one connection that sees a schema of its own with a table of numbers."""
    schema = f"test_{uuid4().hex}"
    with psycopg.connect(stack.postgres_url, autocommit=True) as owner:
        owner.execute(f"CREATE SCHEMA {schema} CREATE TABLE number (value int PRIMARY KEY, tenant text)")
        pool = await open_pool(stack.postgres_url, schema, max_size=1)
        try:
            yield pool
        finally:
            await pool.close()
            owner.execute(f"DROP SCHEMA {schema} CASCADE")


async def kept(pool: Pool) -> list[tuple[int, str]]:
    """Return what another transaction sees, and so show that the connection still works."""
    async with transaction(pool, "reader") as conn:
        cursor = await conn.execute("SELECT value, tenant FROM number ORDER BY value")
        return [(value, tenant) for value, tenant in await cursor.fetchall()]


ADD = "INSERT INTO number VALUES (%s, current_setting('app.tenant_id'))"


def test_what_was_written_is_kept_under_its_tenant_alone(stack: Servers) -> None:
    async def body() -> None:
        async with place(stack) as pool:
            async with transaction(pool, "acme") as conn:
                await conn.execute(ADD, (1,))
                await conn.execute(ADD, (2,))
            assert await kept(pool) == [(1, "acme"), (2, "acme")]
            async with pool.connection() as conn:
                cursor = await conn.execute("SELECT current_setting('app.tenant_id', true)")
                assert await cursor.fetchone() in {("",), (None,)}

    asyncio.run(body())


async def turned_down(pool: Pool) -> None:
    async with transaction(pool, "acme") as conn:
        await conn.execute(ADD, (1,))
        raise KeyError("a decision")


async def twice(pool: Pool) -> None:
    async with transaction(pool, "acme") as conn:
        await conn.execute(ADD, (1,))
        await conn.execute(ADD, (1,))


async def passed_over(pool: Pool) -> None:
    async with transaction(pool, "acme") as conn:
        await conn.execute(ADD, (1,))
        with suppress(psycopg.errors.DivisionByZero):
            await (await conn.execute("SELECT 1 / 0")).fetchone()


async def cut_off(pool: Pool) -> None:
    async with transaction(pool, "acme") as conn:
        await conn.execute(ADD, (1,))
        await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (turned_down, KeyError),
        (twice, psycopg.errors.UniqueViolation),
        (passed_over, psycopg.errors.PipelineAborted),
        (cut_off, Unavailable),
    ],
)
def test_whatever_goes_wrong_undoes_everything_and_is_told(
    stack: Servers, write: Callable[[Pool], Awaitable[None]], error: type[Exception]
) -> None:
    async def body() -> None:
        async with place(stack) as pool:
            with pytest.raises(error):
                await write(pool)
            assert await kept(pool) == []

    asyncio.run(body())
