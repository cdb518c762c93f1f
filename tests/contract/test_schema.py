"""schema.sql is what the migrations amount to, so a reviewer sees the whole and not only the steps."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from libs.storage import migrate
from libs.storage.clickhouse import ClickHouse
from scripts.dump_schema import INFRA, clickhouse_schema, postgres_schema
from tests.servers import Servers


def beside(url: str, database: str) -> str:
    """Return the address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture
def empty(stack: Servers) -> Iterator[tuple[str, str]]:
    name = f"schema_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(stack.postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield beside(stack.postgres_url, name), beside(stack.clickhouse_url, name)
    with psycopg.connect(stack.postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    store = ClickHouse(beside(stack.clickhouse_url, "default"), pool_size=1)
    store.execute(f"DROP DATABASE IF EXISTS {name}")
    store.close()


def test_the_committed_schema_is_what_the_migrations_amount_to(empty: tuple[str, str]) -> None:
    postgres, clickhouse = empty

    migrate.migrate_postgres(postgres, INFRA / "postgres")
    migrate.migrate_clickhouse(clickhouse, INFRA / "clickhouse")

    assert postgres_schema(postgres) == Path(INFRA, "postgres", "schema.sql").read_text()
    assert clickhouse_schema(clickhouse) == Path(INFRA, "clickhouse", "schema.sql").read_text()


def test_migrating_twice_does_nothing_the_second_time(empty: tuple[str, str]) -> None:
    postgres, clickhouse = empty

    first = migrate.migrate_postgres(postgres, INFRA / "postgres")
    first += migrate.migrate_clickhouse(clickhouse, INFRA / "clickhouse")

    assert first
    assert migrate.migrate_postgres(postgres, INFRA / "postgres") == []
    assert migrate.migrate_clickhouse(clickhouse, INFRA / "clickhouse") == []
