"""Deploys on a real PostgreSQL: the store's laws, one transaction for change and event, and row-level security."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from libs.kernel.clock import ManualClock
from libs.storage.postgres import open_pool
from services.deploy_normalizer.adapters.postgres import PostgresDeploys
from services.deploy_normalizer.domain.deploy import Provider, Status
from services.deploy_normalizer.ports import DeployStore, Effect, Unread
from tests.integration.deploy_world import DDL, schema
from tests.unit.services.deploy_normalizer.deploy_store_suite import LAWS
from tests.unit.services.deploy_normalizer.world import NOON, minutes, report


@pytest.fixture
def place(stack: Any) -> Iterator[tuple[str, str]]:
    with schema(stack.postgres_url) as name:
        yield stack.postgres_url, name


def with_store(place: tuple[str, str], act: Callable[[PostgresDeploys], Awaitable[None]]) -> None:
    async def run() -> None:
        pool = await open_pool(*place)
        try:
            await act(PostgresDeploys(pool, ManualClock(NOON)))
        finally:
            await pool.close()

    asyncio.run(run())


def rows(place: tuple[str, str], query: str) -> list[tuple[Any, ...]]:
    url, name = place
    with psycopg.connect(url, options=f"-c search_path={name}") as conn:
        return conn.execute(query.encode()).fetchall()


@pytest.mark.parametrize("law", LAWS)
def test_the_store_in_postgres_keeps_the_law(
    place: tuple[str, str], law: Callable[[DeployStore], Awaitable[None]]
) -> None:
    with_store(place, law)


def test_each_change_of_a_deploy_puts_one_event_in_the_outbox(place: tuple[str, str]) -> None:
    async def act(store: PostgresDeploys) -> None:
        for number, status in enumerate((Status.PENDING, Status.SUCCEEDED, Status.SUCCEEDED)):
            await store.record("acme", report(status, minutes(number and 5)), f"d-{number}")

    with_store(place, act)
    assert rows(place, "SELECT topic, convert_from(key, 'UTF8') FROM outbox") == [("deploys.events", "checkout")] * 2


def test_when_the_event_cannot_be_kept_nothing_is(place: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise ConnectionError("the outbox is gone")

    async def act(store: PostgresDeploys) -> None:
        with monkeypatch.context() as broken:
            broken.setattr("libs.storage.outbox.enqueue_all", refuse)
            with pytest.raises(ConnectionError):
                await store.record("acme", report(Status.PENDING), "d-1")
        again = await store.record("acme", report(Status.PENDING), "d-1")
        assert again.effect is Effect.RECORDED

    with_store(place, act)
    assert rows(place, "SELECT (SELECT count(*) FROM deploy), (SELECT count(*) FROM report)") == [(1, 1)]


def test_old_deliveries_are_forgotten_and_recent_ones_kept(place: tuple[str, str]) -> None:
    async def act(store: PostgresDeploys) -> None:
        await store.record("acme", report(Status.PENDING), "old")
        await store.record("acme", report(Status.PENDING), "new")
        url, name = place
        with psycopg.connect(url, options=f"-c search_path={name}") as conn:
            conn.execute("UPDATE inbox SET received_at = now() - interval '31 days' WHERE ce_id LIKE '%old'")
        assert await store.forget_deliveries() == 1
        assert (await store.record("acme", report(Status.PENDING), "new")).effect is Effect.DUPLICATE_DELIVERY

    with_store(place, act)


def test_a_plain_database_role_sees_and_writes_rows_of_its_tenant_only(place: tuple[str, str]) -> None:
    async def act(store: PostgresDeploys) -> None:
        await store.record("acme", report(Status.PENDING), "d-1")
        await store.record("other", report(Status.PENDING), "d-2")
        for tenant in ("acme", "other"):
            await store.keep_unread(tenant, Unread(Provider.GENERIC, "d", "e", "r", "p", b""))

    with_store(place, act)
    url, name = place
    with psycopg.connect(url, options=f"-c search_path={name}") as conn:
        conn.execute(f"CREATE ROLE {name}_role".encode())  # rolled back with the transaction
        conn.execute(f"GRANT USAGE ON SCHEMA {name} TO {name}_role".encode())
        conn.execute(f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {name} TO {name}_role".encode())
        conn.execute(f"SET LOCAL ROLE {name}_role".encode())
        for table in ("deploy", "report", "unread_delivery"):
            seen = f"SELECT tenant_id FROM {table}".encode()
            assert conn.execute(seen).fetchall() == []
            conn.execute("SELECT set_config('app.tenant_id', 'acme', true)")
            assert conn.execute(seen).fetchall() == [("acme",)]
            conn.execute("SELECT set_config('app.tenant_id', '', true)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("INSERT INTO report VALUES ('other', 'x', 'x', 'x', now(), '{}')")
        conn.rollback()


def test_what_cannot_be_read_is_kept_once_and_its_repetitions_are_counted(place: tuple[str, str]) -> None:
    unread = Unread(Provider.GITLAB, "d-1", "wiki_page", "unsupported_event", "not known", b"\x00{}")

    async def act(store: PostgresDeploys) -> None:
        await store.keep_unread("acme", unread)
        await store.keep_unread("acme", unread)
        await store.keep_unread("other", unread)

    with_store(place, act)
    found = rows(place, "SELECT tenant_id, provider, event, reason, body, times FROM unread_delivery ORDER BY 1")
    kept = ("gitlab", "wiki_page", "unsupported_event", b"\x00{}")
    assert found == [("acme", *kept, 2), ("other", *kept, 1)]


def test_of_what_cannot_be_read_the_newest_of_the_last_month_are_kept(
    place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.deploy_normalizer.adapters.postgres.UNREAD_KEPT", 2)
    url, name = place

    async def act(store: PostgresDeploys) -> None:
        for tenant in ("acme", "other"):
            for number in range(5):
                await store.keep_unread(tenant, Unread(Provider.GITLAB, str(number), "e", "r", "p", b""))
        with psycopg.connect(url, options=f"-c search_path={name}") as conn:
            conn.execute("UPDATE unread_delivery SET received_at = now() - delivery::int * interval '20 days'")
        await store.forget_unread("acme")

    with_store(place, act)
    assert rows(place, "SELECT delivery FROM unread_delivery WHERE tenant_id = 'acme' ORDER BY 1") == [("0",), ("1",)]
    assert rows(place, "SELECT count(*) FROM unread_delivery WHERE tenant_id = 'other'") == [(5,)]


def test_deploys_from_before_the_migration_are_deploys_and_have_run_if_they_succeeded(stack: Any) -> None:
    name = f"deploy_{uuid.uuid4().hex[:8]}"
    add_deploy = """INSERT INTO deploy VALUES ('acme', %s, 'github', 's', '', '', '', 'inactive', '', '', '', '', '',
        '2026-01-01Z', '2026-01-01Z', '2026-01-02Z')"""
    with psycopg.connect(stack.postgres_url) as conn:  # rolled back at the end
        conn.execute(f"CREATE SCHEMA {name}".encode())
        conn.execute(f"SET LOCAL search_path = {name}, public".encode())
        for file in DDL[:2]:
            conn.execute(file.read_bytes())
        for deploy_id in ("ran", "skipped"):
            conn.execute(add_deploy, (deploy_id,))
        conn.execute("INSERT INTO report VALUES ('acme', 'ran', 'e', 'succeeded', '2026-01-01Z', '{}')")
        conn.execute(DDL[2].read_bytes())
        found = conn.execute("SELECT id, kind, succeeded_at IS NOT NULL, movement FROM deploy ORDER BY id").fetchall()
        forced = conn.execute("SELECT relforcerowsecurity FROM pg_class WHERE oid = 'deploy'::regclass").fetchone()
        conn.rollback()
    assert found == [("ran", "deploy", True, "unknown"), ("skipped", "deploy", False, "unknown")]
    assert forced == (True,)
