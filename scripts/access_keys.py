"""Make, rotate, revoke and list a tenant's API keys. A new key is printed once; only its hash is stored.

Connects as the owner of the tables: POSTGRES_OWNER_URL, else POSTGRES_URL. Every door knows of a change at once.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

import psycopg

from libs.access import admin
from libs.access.identity import Role, Scope
from libs.kernel.errors import IncidentScopeError
from scripts.create_tenant import connect, owner_url


def main() -> int:
    """Do what was asked; exit code 1 with one sentence when it cannot be done."""
    options = _parser().parse_args()
    try:
        with connect(options.postgres_url) as conn:
            options.run(conn, options)
    except (IncidentScopeError, psycopg.Error) as exc:
        print(f"access_keys: {str(exc).strip()}", file=sys.stderr)
        return 1
    return 0


def _create(conn: admin.Connection, options: argparse.Namespace) -> None:
    expires = datetime.now(UTC) + timedelta(days=options.days) if options.days else None
    scopes = admin.scopes_of(options.scope)
    grant = admin.Grant(options.name, Role(options.role), scopes, options.rate, expires)
    _show(admin.create_key(conn, options.tenant, grant))


def _rotate(conn: admin.Connection, options: argparse.Namespace) -> None:
    _show(admin.rotate_key(conn, options.tenant, options.key, timedelta(hours=options.overlap_hours)))


def _revoke(conn: admin.Connection, options: argparse.Namespace) -> None:
    admin.revoke_key(conn, options.tenant, options.key)
    print(f"access_keys: {options.key} is revoked")


def _list(conn: admin.Connection, options: argparse.Namespace) -> None:
    print(f"{'key':<11} {'role':<10} {'created':<17} {'state':<26} name, scopes")
    for key in admin.list_keys(conn, options.tenant):
        scopes = f" [{' '.join(key.scopes)}]" if key.scopes else ""
        print(f"{key.id:<11} {key.role:<10} {key.created_at:%Y-%m-%d %H:%M}  {state(key):<26} {key.name}{scopes}")


def state(key: admin.ListedKey) -> str:
    """Return in words whether a key is good, and until when."""
    if key.revoked_at:
        return f"revoked {key.revoked_at:%Y-%m-%d %H:%M}"
    if key.expires_at is None:
        return "good"
    ended = key.expires_at <= datetime.now(UTC)
    return f"{'ended' if ended else 'good until'} {key.expires_at:%Y-%m-%d %H:%M}"


def _show(made: admin.NewKey) -> None:
    print(f"access_keys: made {made.id}; this is the only time it is shown:", file=sys.stderr)
    print(made.secret)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.access_keys", description=__doc__)
    parser.add_argument("--postgres-url", default=owner_url(), help="default: POSTGRES_OWNER_URL, else POSTGRES_URL")
    actions = parser.add_subparsers(required=True, metavar="create|rotate|revoke|list")
    create = _action(actions, "create", _create, "make a key")
    create.add_argument("--name", required=True, help="who holds it: shown in timelines")
    create.add_argument("--role", required=True, choices=[r.value for r in Role])
    create.add_argument("--scope", action="append", default=[], help=f"repeatable; one of {', '.join(Scope)}")
    create.add_argument("--rate", type=float, help="requests per second at each process; 0 unbounded")
    create.add_argument("--days", type=float, default=0.0, help="days until it ends (never)")
    rotate = _action(actions, "rotate", _rotate, "make a key like another, which ends after an overlap")
    rotate.add_argument("key", help="id of the key to replace")
    rotate.add_argument("--overlap-hours", type=float, default=24.0, help="how long both are good (24)")
    _action(actions, "revoke", _revoke, "end a key at once").add_argument("key", help="its id")
    _action(actions, "list", _list, "show a tenant's keys, without the keys themselves")
    return parser


def _action(actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, text: str) -> argparse.ArgumentParser:  # fmt: skip  # noqa: E501
    action = actions.add_parser(name, help=text, description=text)
    action.set_defaults(run=run)
    action.add_argument("tenant")
    return action


if __name__ == "__main__":
    sys.exit(main())
