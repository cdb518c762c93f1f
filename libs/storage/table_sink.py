"""One ClickHouse table as the end of a batch loop."""

from __future__ import annotations

from typing import Final

from libs.kernel.errors import InvalidInput, Unavailable
from libs.otlp.batch import DecodedBatch
from libs.storage.clickhouse import ClickHouse, Refused

# Refusals that are about the server, its schema or our rights, not about the rows: they pass when someone acts
# (no such column, unknown identifier, unknown table or database, read-only, no space, access, authentication).
NOT_THE_ROWS: Final = frozenset({16, 46, 47, 50, 60, 62, 81, 164, 243, 291, 497, 516})


class TableSink:
    """Inserts Native blocks into one table."""

    def __init__(self, clickhouse: ClickHouse, table: str) -> None:
        self._clickhouse = clickhouse
        self.table = table

    def problem(self) -> str | None:
        """Return None when the table exists, else one sentence saying what is missing."""
        try:
            ((exists,),) = self._clickhouse.query(f"EXISTS TABLE {self.table}")
        except (Unavailable, InvalidInput) as error:
            return str(error)
        return None if exists else f"the table {self.table} does not exist yet: apply the migrations"

    def write(self, batch: DecodedBatch, token: str) -> None:
        """Insert once per token; raises Unavailable (try again later) or InvalidInput (these rows are refused)."""
        try:
            self._clickhouse.insert_native(self.table, batch.columns, batch.body, token)
        except Refused as refused:
            if refused.code in NOT_THE_ROWS:
                raise Unavailable(str(refused)) from refused
            raise
