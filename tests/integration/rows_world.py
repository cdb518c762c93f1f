"""Rows of one tenant, decoded as the consumers do and inserted straight into the tables."""

from __future__ import annotations

import time
from typing import Any

from libs.otlp.batch import Decode, Message
from libs.storage.clickhouse import ClickHouse
from tests.integration.alert_world import unique


class Tenant:
    """A tenant no other test uses, and its rows."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.id = unique("t")
        self._clickhouse = clickhouse

    def insert(self, table: str, decode: Decode, *requests: Any) -> None:
        """Insert each request on its own, so that rollups have to merge."""
        for offset, request in enumerate(requests):
            message = Message(request.SerializeToString(), self.id, "test", 0, offset, time.time_ns() // 1_000_000)
            batch = decode([message])
            assert batch.rejected == ()
            self._clickhouse.insert_native(table, batch.columns, batch.body, f"{self.id}-{table}-{offset}")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query in which `MINE` stands for the tenant's condition."""
        return self._clickhouse.query(sql.replace("MINE", f"TenantId = '{self.id}'"))
