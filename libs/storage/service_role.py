"""The database role that services connect as: it owns nothing, is no superuser, and row-level security binds it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from libs.kernel.errors import IncidentScopeError

SERVICE_ROLE = "incidentscope_service"
ACCESS_SCHEMA = "access"  # grants its tables one by one

_SCHEMAS = """
SELECT n.nspname FROM pg_namespace n
WHERE n.nspname = ANY (SELECT DISTINCT owner FROM public.migrations) AND n.nspname <> 'access' ORDER BY 1"""
_UNGUARDED = """
SELECT n.nspname || '.' || c.relname FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY (SELECT DISTINCT owner FROM public.migrations)
AND NOT (c.relrowsecurity AND (c.relforcerowsecurity OR n.nspname = 'access')
         AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
ORDER BY 1"""
_SPECIAL = """
SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = %s"""


class TenantsNotKeptApart(IncidentScopeError):
    """A table of tenants' rows is not guarded by row-level security, or the service role could step around it."""


def grant(connection: psycopg.Connection[Any]) -> None:
    """Let the service role work on every owner's tables, but not change them; idempotent.

    Raises TenantsNotKeptApart when a table with a tenant_id lacks forced row-level security.
    """
    unguarded = [name for (name,) in connection.execute(_UNGUARDED).fetchall()]
    if unguarded:
        raise TenantsNotKeptApart(f"{unguarded[0]} has a tenant_id but no forced row-level security with a policy")
    special = connection.execute(_SPECIAL, (SERVICE_ROLE,)).fetchone()
    if special is None or special[0]:
        raise TenantsNotKeptApart(f"the role {SERVICE_ROLE} must exist and have no special rights")
    role = sql.Identifier(SERVICE_ROLE)
    for (name,) in connection.execute(_SCHEMAS).fetchall():
        schema = sql.Identifier(name)
        for statement in _GRANTS:
            connection.execute(sql.SQL(statement).format(schema=schema, role=role))


_GRANTS = (
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}",
)


def set_password(connection: psycopg.Connection[Any], password: str) -> None:
    """Let the service role log in with a password; the server keeps a verifier of it only."""
    encrypted = connection.pgconn.encrypt_password(password.encode(), SERVICE_ROLE.encode(), b"scram-sha-256").decode()
    alter = sql.SQL("ALTER ROLE {role} LOGIN PASSWORD {secret}")
    connection.execute(alter.format(role=sql.Identifier(SERVICE_ROLE), secret=sql.Literal(encrypted)))
