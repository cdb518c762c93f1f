"""Changing tenants and keys: the owner's work, never a service's. Every change is on record with who made it."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from libs.access.directory import demand_tenant, hash_key, new_key, new_key_id
from libs.access.identity import Role, Scope, known_role
from libs.kernel.errors import IncidentScopeError

ADMIN_KEY_NAME = "first admin"
MOST_OVERLAP = timedelta(days=90)
_AUDIT = """
INSERT INTO access.audit (tenant_id, at, service, actor, key_id, role, action, subject, outcome, reason)
VALUES (%s, clock_timestamp(), 'cli', %s, '', 'operator', %s, %s, 'OK', %s)"""
_KEY = """
INSERT INTO access.api_key (tenant_id, id, digest, name, role, scopes, requests_per_second, expires_at, replaces)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_LIST = """
SELECT id, tenant_id AS tenant, name, role, scopes, requests_per_second AS rate, created_at, expires_at, revoked_at,
       replaces
FROM access.api_key WHERE tenant_id = %s ORDER BY created_at, id"""
Connection = psycopg.Connection[Any]


class ChangeRefused(IncidentScopeError):
    """A change that makes no sense; the text says why."""


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as its tenant's administrator sees it."""

    id: str
    tenant: str
    name: str
    role: str
    scopes: list[str]
    rate: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces: str | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as made: `secret` is shown once and kept nowhere."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key is for. `rate` is in requests per second at each process: None as usual for the role, 0 unbounded."""

    name: str
    role: Role
    scopes: tuple[Scope, ...] = ()
    rate: float | None = None
    expires_at: datetime | None = None


def tenants(conn: Connection) -> frozenset[str]:
    """Return the ids of all tenants."""
    return frozenset(tenant for (tenant,) in conn.execute("SELECT id FROM access.tenant"))


def create_tenant(conn: Connection, tenant: str) -> None:
    """Create a tenant; raises ChangeRefused when it exists or cannot be called that."""
    try:
        with conn.transaction():
            conn.execute("INSERT INTO access.tenant (id) VALUES (%s)", (tenant,))
            _record(conn, tenant, "tenant.create", tenant)
    except psycopg.errors.UniqueViolation as exc:
        raise ChangeRefused(f"the tenant {tenant!r} exists already") from exc
    except psycopg.errors.CheckViolation as exc:
        raise ChangeRefused(f"{tenant!r} cannot be a tenant id: lower-case letters, digits, - and _") from exc


def create_key(conn: Connection, tenant: str, grant: Grant, secret: str = "", replaces: str | None = None) -> NewKey:
    """Make a key, random unless a `secret` is brought along; raises ChangeRefused or UnknownTenant."""
    if grant.role is Role.SERVICE and not grant.scopes:
        raise ChangeRefused(f"a service's key needs scopes; choose from {', '.join(Scope)}")
    demand_tenant(tenant, tenants(conn))
    made = NewKey(new_key_id(), secret or new_key())
    values = (
        tenant, made.id, hash_key(made.secret), grant.name, grant.role.value, list(grant.scopes), grant.rate,
        grant.expires_at, replaces,
    )  # fmt: skip
    try:
        with conn.transaction():
            conn.execute(_KEY, values)
            _record(conn, tenant, "key.create", made.id, f"{grant.name}: {grant.role}")
    except psycopg.errors.UniqueViolation as exc:
        raise ChangeRefused("that key exists already") from exc
    except psycopg.errors.CheckViolation as exc:
        raise ChangeRefused("a name has 1 to 100 characters, a rate is not negative") from exc
    return made


def rotate_key(conn: Connection, tenant: str, key_id: str, overlap: timedelta) -> NewKey:
    """Make a key like another, which ends after the overlap; raises ChangeRefused or UnknownTenant."""
    if not timedelta(0) <= overlap <= MOST_OVERLAP:
        raise ChangeRefused(f"the overlap is at most {MOST_OVERLAP.days} days")
    with conn.transaction():
        old = _live(conn, tenant, key_id)
        role = known_role(old.role)
        if role is None:
            raise ChangeRefused(f"the key {key_id!r} has the role {old.role!r}, which only a newer release knows")
        grant = Grant(old.name, role, scopes_of(old.scopes), old.rate)
        made = create_key(conn, tenant, grant, replaces=old.id)
        ends = "UPDATE access.api_key SET expires_at = least(expires_at, now() + %s) WHERE tenant_id = %s AND id = %s"
        conn.execute(ends, (overlap, tenant, key_id))
        _record(conn, tenant, "key.rotate", key_id, f"replaced by {made.id}, ends in {overlap}")
    return made


def revoke_key(conn: Connection, tenant: str, key_id: str) -> None:
    """End a key at once; raises ChangeRefused or UnknownTenant."""
    with conn.transaction():
        _live(conn, tenant, key_id)
        conn.execute("UPDATE access.api_key SET revoked_at = now() WHERE tenant_id = %s AND id = %s", (tenant, key_id))
        _record(conn, tenant, "key.revoke", key_id)


def list_keys(conn: Connection, tenant: str) -> list[ListedKey]:
    """Return a tenant's keys, revoked ones too, oldest first; raises UnknownTenant."""
    demand_tenant(tenant, tenants(conn))
    with conn.cursor(row_factory=class_row(ListedKey)) as cursor:
        return cursor.execute(_LIST, (tenant,)).fetchall()


def _live(conn: Connection, tenant: str, key_id: str) -> ListedKey:
    conn.execute("SELECT FROM access.api_key WHERE tenant_id = %s AND id = %s FOR UPDATE", (tenant, key_id))
    found = next((k for k in list_keys(conn, tenant) if k.id == key_id), None)
    if found is None:
        raise ChangeRefused(f"the tenant {tenant!r} has no key {key_id!r}")
    if found.revoked_at is not None:
        raise ChangeRefused(f"the key {key_id!r} was revoked at {found.revoked_at:%Y-%m-%d %H:%M} already")
    return found


def _record(conn: Connection, tenant: str, action: str, subject: str, reason: str = "") -> None:
    conn.execute("SELECT set_config('app.tenant_id', %s, true)", (tenant,))
    conn.execute(_AUDIT, (tenant, f"operator {getpass.getuser()}", action, subject, reason))


def scopes_of(names: Iterable[str]) -> tuple[Scope, ...]:
    """Return scopes by name; raises ChangeRefused for one that does not exist."""
    try:
        return tuple(Scope(name) for name in names)
    except ValueError as exc:
        raise ChangeRefused(f"{exc}; choose from {', '.join(Scope)}") from exc
