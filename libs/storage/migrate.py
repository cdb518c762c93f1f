"""Numbered SQL migrations: `infra/postgres/<owner>/NNNN_name.sql` and `infra/clickhouse/<group>/NNNN_name.sql`.

Each file runs once, in the order of its number, and is recorded with the hash of its text. A file that changed after
it ran is refused: write a new one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from libs.kernel.errors import IncidentScopeError
from libs.storage import service_role
from libs.storage.clickhouse import ClickHouse
from libs.storage.clickhouse_address import ClickHouseAddress, identifier

FILE_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")
LOCK = 0x15C0  # one migrator at a time
RECORD = "CREATE TABLE IF NOT EXISTS public.migrations (owner text, number int, name text NOT NULL, hash text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (owner, number))"  # fmt: skip  # noqa: E501
RECORD_CLICKHOUSE = "CREATE TABLE IF NOT EXISTS migrations (Owner String, Number UInt32, Name String, Hash String, AppliedAt DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY (Owner, Number)"  # fmt: skip  # noqa: E501


class MigrationRefused(IncidentScopeError):
    """The migrations on disk do not fit what was applied; the text says which."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    owner: str
    number: int
    name: str
    text: str

    @property
    def hash(self) -> str:
        """Return the SHA-256 of its text, in hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read(folder: Path) -> list[Migration]:
    """Return the migrations below a folder, by owner and number; raises MigrationRefused on a bad or repeated number.

    Numbers may leave gaps, so that work done side by side can number its files apart.
    """
    found: list[Migration] = []
    for owner in sorted(p for p in folder.iterdir() if p.is_dir()):
        taken = 0
        for file in sorted(owner.glob("*.sql")):
            match = FILE_NAME.match(file.name)
            if match is None or int(match[1]) <= taken:
                raise MigrationRefused(
                    f"{owner.name}/{file.name} should be named NNNN_lower_case.sql, above {taken:04d}"
                )
            taken = int(match[1])
            found.append(Migration(owner.name, taken, file.name, file.read_text()))
    return found


def pending(migrations: Sequence[Migration], applied: dict[tuple[str, int], str]) -> list[Migration]:
    """Return what is still to run; raises MigrationRefused when a file changed after it ran."""
    changed = [m for m in migrations if applied.get((m.owner, m.number), m.hash) != m.hash]
    if changed:
        raise MigrationRefused(f"{changed[0].owner}/{changed[0].name} changed after it was applied; add a new file")
    return [m for m in migrations if (m.owner, m.number) not in applied]


def statements(text: str) -> list[str]:
    """Split ClickHouse SQL at lines that end in `;`, since the server takes one statement at a time."""
    without_comments = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [s.strip() for s in re.split(r";[ \t]*(?:\n|$)", without_comments) if s.strip()]


def migrate_postgres(url: str, folder: Path, service_password: str = "") -> list[Migration]:
    """Apply what is pending, each file in its own transaction with its owner's schema first; return what ran.

    Afterwards the services' role may work on what there is, with `service_password` as its password where one is given.
    Raises MigrationRefused or TenantsNotKeptApart.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        connection.execute(RECORD)
        rows = connection.execute("SELECT owner, number, hash FROM public.migrations").fetchall()
        todo = pending(read(folder), {(owner, number): digest for owner, number, digest in rows})
        for migration in todo:
            _apply(connection, migration)
        with connection.transaction():
            service_role.grant(connection)
            if service_password:
                service_role.set_password(connection, service_password)
        return todo


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> None:
    schema = sql.Identifier(migration.owner)
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
        connection.execute(sql.SQL("SET LOCAL search_path = {}, public").format(schema))
        connection.execute(migration.text.encode())  # several statements, from our own files
        connection.execute(
            "INSERT INTO public.migrations (owner, number, name, hash) VALUES (%s, %s, %s, %s)",
            (migration.owner, migration.number, migration.name, migration.hash),
        )


def migrate_clickhouse(url: str, folder: Path) -> list[Migration]:
    """Apply what is pending; return what ran.

    ClickHouse has no transactional DDL: a file that failed half-way runs again from its start, so every statement
    says IF NOT EXISTS.
    """
    address = ClickHouseAddress.parse(url)
    admin = ClickHouse(address.of("default"), pool_size=1)
    try:
        admin.execute(f"CREATE DATABASE IF NOT EXISTS {identifier(address.database)}")
    finally:
        admin.close()
    store = ClickHouse(address, pool_size=1)
    try:
        return _apply_clickhouse(store, read(folder))
    finally:
        store.close()


def _apply_clickhouse(store: ClickHouse, migrations: Sequence[Migration]) -> list[Migration]:
    store.execute(RECORD_CLICKHOUSE)
    rows = store.query("SELECT Owner, Number, Hash FROM migrations")
    todo = pending(migrations, {(owner, number): digest for owner, number, digest in rows})
    for migration in todo:
        for statement in statements(migration.text):
            store.execute(statement)
        store.insert_rows(
            "migrations",
            ("Owner", "Number", "Name", "Hash"),
            [(migration.owner, migration.number, migration.name, migration.hash)],
        )
    return todo
