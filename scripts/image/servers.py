"""Kafka, Postgres and ClickHouse of the local stack with the accounts docker-compose.yml gives them, and no schema."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from infra.local.ports import Ports
from infra.local.stack import Stack
from scripts.image import compose


@contextmanager
def running(home: Path, say: Callable[[str], None], environment: Mapping[str, str] = os.environ) -> Iterator[Ports]:
    """Yield the ports of servers that have just started, empty; stops and removes them at the end.

    Raises LocalStackError, ComposeError or psycopg.Error.
    """
    clickhouse = compose.server_settings("clickhouse", environment)
    accounts = {name: clickhouse[name] for name in ("CLICKHOUSE_USER", "CLICKHOUSE_PASSWORD")}
    stack = Stack(home, Ports.free(), environment={**environment, **accounts}, say=say)
    try:
        stack.up(infra_only=True, bare=True)
        _create_owner(stack.postgres_url, compose.server_settings("postgres", environment))
        yield stack.ports
    finally:
        stack.down(wipe=True)


def _create_owner(url: str, settings: Mapping[str, str]) -> None:
    """Do what the image of Postgres does at its first start: a superuser that owns a database."""
    owner, database = sql.Identifier(settings["POSTGRES_USER"]), sql.Identifier(settings["POSTGRES_DB"])
    create = sql.SQL("CREATE ROLE {owner} SUPERUSER LOGIN PASSWORD {password}")
    give = sql.SQL("ALTER DATABASE {database} OWNER TO {owner}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(create.format(owner=owner, password=sql.Literal(settings["POSTGRES_PASSWORD"])))
        connection.execute(give.format(database=database, owner=owner))
