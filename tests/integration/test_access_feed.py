"""Tenants and keys as doors know them: at once when they change, on while Postgres is away, not for ever."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psycopg
import pytest

from libs.access import admin
from libs.access.audit import AuditLog, Entry
from libs.access.denied import AccessDenied
from libs.access.directory import UnknownTenant
from libs.access.identity import Identity, Requirement, Role, Scope
from libs.access.postgres import DirectoryFeed
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import Unavailable
from libs.storage import service_role
from tests.servers import Servers

READ = Requirement(Role.VIEWER, Scope.INCIDENTS_READ)


@pytest.fixture
def owner(stack: Servers) -> Iterator[admin.Connection]:
    with psycopg.connect(stack.postgres_url, autocommit=True) as conn:
        yield conn


@pytest.fixture
def tenant(owner: admin.Connection) -> str:
    name = f"f{secrets.token_hex(4)}"
    admin.create_tenant(owner, name)
    return name


@asynccontextmanager
async def following(url: str, most_stale: float = 900.0) -> AsyncIterator[tuple[DirectoryFeed, asyncio.Task[None]]]:
    feed = DirectoryFeed(url, most_stale)
    running = asyncio.create_task(feed.run())
    try:
        await feed.loaded(10)
        yield feed, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def seconds_until(condition: Callable[[], bool], most: float = 8.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < most, "waited too long"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def test_a_change_is_known_within_a_second(stack: Servers, owner: admin.Connection, tenant: str) -> None:
    async def story() -> list[float]:
        async with following(stack.postgres_service_url) as (feed, _):
            made = await asyncio.to_thread(admin.create_key, owner, tenant, admin.Grant("Ana", Role.ADMIN))
            known = await seconds_until(lambda: made.id in feed.directory().by_id)
            await asyncio.to_thread(admin.revoke_key, owner, tenant, made.id)
            return [known, await seconds_until(lambda: made.id not in feed.directory().by_id)]

    assert max(asyncio.run(story())) < 1.0


def test_a_lost_connection_is_made_again_and_changes_are_heard(
    stack: Servers, owner: admin.Connection, tenant: str
) -> None:
    async def story() -> None:
        async with following(stack.postgres_service_url) as (feed, _):
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'access'")
            assert tenant in feed.directory().tenants  # answered from memory
            made = await asyncio.to_thread(admin.create_key, owner, tenant, admin.Grant("Ana", Role.VIEWER))
            await seconds_until(lambda: made.id in feed.directory().by_id)

    asyncio.run(story())


def test_a_key_that_a_newer_release_made_grants_nothing_and_the_others_stay_in_force(
    stack: Servers, owner: admin.Connection, tenant: str
) -> None:
    strange, known = (admin.create_key(owner, tenant, admin.Grant(n, Role.ADMIN)) for n in ("new", "Ana"))
    owner.execute("UPDATE access.api_key SET scopes = '{budgets:read}' WHERE id = %s", (strange.id,))

    async def story() -> None:
        async with following(stack.postgres_service_url) as (feed, running):
            registry = TenantRegistry(feed)
            assert registry.admit({"x-api-key": known.secret}, READ).name == "Ana"
            with pytest.raises(AccessDenied):
                registry.admit({"x-api-key": strange.secret}, READ)
            owner.execute(
                "UPDATE access.api_key SET scopes = '{budgets:read,incidents:read}' WHERE tenant_id = %s", (tenant,)
            )
            await seconds_until(lambda: strange.id in feed.directory().by_id)
            assert registry.admit({"x-api-key": strange.secret}, READ).scopes == {Scope.INCIDENTS_READ}
            assert not running.done()
        with pytest.raises(admin.ChangeRefused, match="budgets:read"):  # a new key would have less than the old one
            admin.rotate_key(owner, tenant, strange.id, timedelta(0))

    asyncio.run(story())


def test_without_the_database_keys_are_good_for_a_while_and_then_nobody_is_let_in(
    stack: Servers, owner: admin.Connection, tenant: str
) -> None:
    made = admin.create_key(owner, tenant, admin.Grant("Ana", Role.VIEWER))
    headers = {"x-api-key": made.secret}

    async def story() -> None:
        async with following(stack.postgres_service_url, most_stale=1.0) as (feed, running):
            registry = TenantRegistry(feed)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.sleep(0.3)
            assert registry.admit(headers, READ).name == "Ana"
            assert feed.problem() is None
            await asyncio.sleep(1.0)
            with pytest.raises(AccessDenied) as denied:
                registry.admit(headers, READ)
            assert (denied.value.reason, denied.value.statuses.grpc) == ("access_unknown", "UNAVAILABLE")
            assert registry.known(tenant)  # what is on Kafka already is not given up
            assert "last read" in (feed.problem() or "")

    asyncio.run(story())


def test_a_door_that_never_reached_the_database_says_so() -> None:
    async def story() -> None:
        feed = DirectoryFeed("postgresql://nobody@127.0.0.1:1/none", 900.0)
        running = asyncio.create_task(feed.run())
        with pytest.raises(Unavailable, match="could not be read"):
            await feed.loaded(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert feed.problem() == "tenants and keys were never read"

    asyncio.run(story())


def test_a_rotated_key_is_good_beside_its_successor_until_the_overlap_ends(
    stack: Servers, owner: admin.Connection, tenant: str
) -> None:
    grant = admin.Grant("collector", Role.SERVICE, (Scope.TELEMETRY_WRITE,), 7.0)
    old = admin.create_key(owner, tenant, grant)
    new = admin.rotate_key(owner, tenant, old.id, timedelta(seconds=1.5))

    async def story() -> None:
        async with following(stack.postgres_service_url) as (feed, _):
            registry = TenantRegistry(feed)
            both = [registry.identify({"x-api-key": k.secret}) for k in (old, new)]
            assert both[0].scopes == both[1].scopes == {Scope.TELEMETRY_WRITE}
            assert [b.requests_per_second for b in both] == [7.0, 7.0]
            await asyncio.sleep(1.6)
            with pytest.raises(AccessDenied, match="expired"):
                registry.identify({"x-api-key": old.secret})
            assert not registry.holds(both[0])
            assert registry.holds(registry.identify({"x-api-key": new.secret}))

    asyncio.run(story())
    listed = {k.id: k for k in admin.list_keys(owner, tenant)}
    assert listed[new.id].replaces == old.id


def test_only_hashes_of_keys_are_kept(owner: admin.Connection, tenant: str) -> None:
    made = admin.create_key(owner, tenant, admin.Grant("Ana", Role.ADMIN))

    rows = owner.execute("SELECT api_key::text FROM access.api_key").fetchall()
    rows += owner.execute("SELECT audit::text FROM access.audit").fetchall()

    assert not any(made.secret in text for (text,) in rows)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (admin.create_tenant, "exists already"),
        (lambda c, _t: admin.create_tenant(c, "No Good"), "tenant id"),
        (lambda c, _t: admin.create_key(c, "nobody", admin.Grant("a", Role.ADMIN)), "no tenant"),
        (lambda c, t: admin.create_key(c, t, admin.Grant("a", Role.SERVICE)), "needs scopes"),
        (lambda c, t: admin.create_key(c, t, admin.Grant("", Role.ADMIN)), "1 to 100"),
        (lambda c, t: admin.revoke_key(c, t, "0000"), "no key"),
        (lambda c, t: admin.rotate_key(c, t, "0000", timedelta(days=400)), "overlap"),
    ],
)
def test_changes_that_make_no_sense_are_refused(
    owner: admin.Connection, tenant: str, change: Callable[[admin.Connection, str], object], why: str
) -> None:
    with pytest.raises((admin.ChangeRefused, UnknownTenant), match=why):
        change(owner, tenant)


def test_the_key_of_one_tenant_cannot_be_revoked_in_the_name_of_another(owner: admin.Connection, tenant: str) -> None:
    made = admin.create_key(owner, tenant, admin.Grant("Ana", Role.ADMIN))

    with pytest.raises(admin.ChangeRefused, match="no key"):
        admin.revoke_key(owner, "default", made.id)


EDITS = (
    "UPDATE access.audit SET actor = 'nobody'",
    "DELETE FROM access.audit",
    "TRUNCATE access.audit",
    "ALTER TABLE access.audit DISABLE TRIGGER ALL",
    "ALTER TABLE access.audit DISABLE ROW LEVEL SECURITY",
    "DROP TABLE access.audit",
    "INSERT INTO access.audit OVERRIDING SYSTEM VALUE SELECT * FROM access.audit",
    "INSERT INTO access.tenant VALUES ('mine')",
    "UPDATE access.api_key SET role = 'admin'",
    "UPDATE access.api_key SET revoked_at = NULL",
    "DELETE FROM access.api_key",
    "ALTER ROLE incidentscope_service BYPASSRLS",
    "SET ROLE postgres",
    "CREATE TABLE access.mine (x int)",
    "ALTER TABLE incident.timeline DISABLE TRIGGER ALL",
    "ALTER TABLE incident.incident NO FORCE ROW LEVEL SECURITY",
    "UPDATE incident.timeline SET text = 'nothing happened'",
    "COPY incident.incident TO PROGRAM 'true'",
)


@pytest.mark.parametrize("edit", EDITS)
def test_the_role_of_services_cannot_edit_history_or_keys_or_what_guards_them(
    stack: Servers, owner: admin.Connection, tenant: str, edit: str
) -> None:
    before = owner.execute("SELECT count(*), max(number) FROM access.audit WHERE tenant_id = %s", (tenant,)).fetchone()

    with psycopg.connect(stack.postgres_service_url, autocommit=True) as service:
        service.execute("SELECT set_config('app.tenant_id', %s, false)", (tenant,))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(edit.encode())

    after = owner.execute("SELECT count(*), max(number) FROM access.audit WHERE tenant_id = %s", (tenant,)).fetchone()
    assert after == before


def test_the_owner_cannot_edit_the_audit_log_in_passing_either(owner: admin.Connection, tenant: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        owner.execute("DELETE FROM access.audit WHERE tenant_id = %s", (tenant,))


def test_services_see_rows_of_the_tenant_they_name_only(stack: Servers, owner: admin.Connection, tenant: str) -> None:
    tables = owner.execute(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' WHERE c.relkind = 'r'"
        " AND n.nspname IN (SELECT owner FROM public.migrations) AND c.relname NOT IN ('api_key')"
    ).fetchall()
    assert len(tables) >= 8
    with psycopg.connect(stack.postgres_service_url, autocommit=True) as service:
        for schema, table in tables:
            for named in ("", tenant):
                service.execute("SELECT set_config('app.tenant_id', %s, false)", (named,))
                query = f"SELECT count(*) FROM {schema}.{table} WHERE tenant_id <> %s"
                assert service.execute(query.encode(), (named,)).fetchone() == (0,), f"{schema}.{table}"


def test_a_table_of_tenants_rows_that_is_not_guarded_stops_the_migration(owner: admin.Connection) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute("CREATE TABLE alert.unguarded (tenant_id text)")
        with pytest.raises(service_role.TenantsNotKeptApart, match=r"alert\.unguarded"):
            service_role.grant(owner)


def test_entries_of_several_tenants_are_put_on_record_also_after_an_outage(
    stack: Servers, owner: admin.Connection, tenant: str
) -> None:
    second = f"{tenant}-2"

    async def story() -> None:
        audit = AuditLog(stack.postgres_service_url, "test")
        for n in range(600):
            audit.record(Entry(Identity((tenant, second)[n % 2], Role.VIEWER, name="Ana"), "Do", "OK", f"{n}\x00"))
            if n == 300:  # what the database never takes keeps none of the others out
                audit.record(Entry(Identity(tenant, Role.VIEWER), "No\x00text", "OK"))
        running = asyncio.create_task(audit.run())
        await seconds_until(lambda: _count(owner, second) == 300, 60)
        owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'audit-test'")
        audit.record(Entry(Identity(tenant, Role.VIEWER), "Do", "OK"))
        await seconds_until(lambda: _count(owner, tenant) == 301, 60)
        audit.record(Entry(Identity(tenant, Role.VIEWER), "Last", "OK"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(story())
    assert _count(owner, tenant) == 302


def _count(owner: admin.Connection, tenant: str) -> int:
    sql = "SELECT count(*) FROM access.audit WHERE tenant_id = %s AND service = 'test'"
    row = owner.execute(sql, (tenant,)).fetchone()
    return int(row[0]) if row else 0
