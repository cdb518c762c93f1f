"""Create a tenant and its first key, an admin's. The key is printed once; only its hash is stored.

Connects as the owner of the tables: POSTGRES_OWNER_URL, else POSTGRES_URL.
"""

from __future__ import annotations

import argparse
import os
import sys

import psycopg

from libs.access import admin
from libs.access.directory import KEY_PREFIX
from libs.access.identity import Role
from libs.kernel.errors import IncidentScopeError

LEAST_KEY_CHARS = 40


def main() -> int:
    """Print the new key; exit code 1 with one sentence when it cannot be made."""
    options = _parser().parse_args()
    try:
        with connect(options.postgres_url) as conn:
            print(_create(conn, options))
    except (IncidentScopeError, psycopg.Error) as exc:
        print(f"create_tenant: {str(exc).strip()}", file=sys.stderr)
        return 1
    return 0


def _create(conn: admin.Connection, options: argparse.Namespace) -> str:
    secret = _brought(options.key_from_env)
    if options.if_missing and options.tenant in admin.tenants(conn):
        return f"create_tenant: {options.tenant} exists already"
    with conn.transaction():
        admin.create_tenant(conn, options.tenant)
        if options.without_key:
            return f"create_tenant: {options.tenant} has no key yet; python -m scripts.access_keys create makes one"
        made = admin.create_key(conn, options.tenant, admin.Grant(options.name, Role.ADMIN), secret)
    print(f"create_tenant: {options.tenant} has the admin key {made.id}", file=sys.stderr)
    return f"create_tenant: the key is the one in {options.key_from_env}" if secret else made.secret


def _brought(variable: str) -> str:
    """Return the key an operator brings along, such as from a secret store; empty when none is named."""
    if not variable:
        return ""
    secret = os.environ.get(variable, "")
    if not secret.startswith(KEY_PREFIX) or len(secret) < LEAST_KEY_CHARS:
        raise admin.ChangeRefused(f"{variable} must hold a random key: {KEY_PREFIX}, then 40 characters or more")
    return secret


def connect(url: str | None) -> admin.Connection:
    """Connect as the owner; raises ChangeRefused when no server is named."""
    if not url:
        raise admin.ChangeRefused('set POSTGRES_OWNER_URL, or eval "$(python -m infra.local env)"')
    return psycopg.connect(url, autocommit=True, connect_timeout=10)


def owner_url() -> str | None:
    """Return the address of the database as the environment has it."""
    return os.environ.get("POSTGRES_OWNER_URL") or os.environ.get("POSTGRES_URL")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.create_tenant", description=__doc__)
    parser.add_argument("tenant", help="id: lower-case letters, digits, - and _")
    parser.add_argument("--name", default=admin.ADMIN_KEY_NAME, help=f"who holds the key ({admin.ADMIN_KEY_NAME})")
    parser.add_argument("--if-missing", action="store_true", help="do nothing where the tenant exists")
    parser.add_argument("--without-key", action="store_true", help="make the tenant only")
    parser.add_argument("--key-from-env", default="", metavar="NAME", help="use the key in this variable, print none")
    parser.add_argument("--postgres-url", default=owner_url(), help="default: POSTGRES_OWNER_URL, else POSTGRES_URL")
    return parser


if __name__ == "__main__":
    sys.exit(main())
