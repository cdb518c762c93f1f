"""One ClickHouse table as the end of a batch loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.batch_plan import Extent
from libs.otlp.batch import DecodedBatch
from libs.storage.clickhouse import ClickHouse, Refused
from libs.storage.recovery import RangeRecovery

# Refusals that are about the server, its schema or our rights, not about the rows: they pass when someone acts
# (no such column, unknown identifier, unknown table or database, read-only, no space, access, authentication).
NOT_THE_ROWS: Final = frozenset({16, 46, 47, 50, 60, 62, 81, 164, 243, 291, 497, 516})


class TableSink:
    """Inserts Native blocks into one table."""

    def __init__(self, clickhouse: ClickHouse, table: str) -> None:
        self._clickhouse = clickhouse
        self._recovery = RangeRecovery(clickhouse, table)
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
        with _blame():
            self._clickhouse.insert_native(self.table, batch.columns, batch.body, token)

    def verify(self, batch: DecodedBatch, extent: Extent, token: str) -> None:
        """Make sure that each row of the extent is there once; raises as `write` does."""
        with _blame():
            self._recovery.verify(batch, extent, token)


@contextmanager
def _blame() -> Iterator[None]:
    """Turn refusals that are not about the rows into Unavailable."""
    try:
        yield
    except Refused as refused:
        if refused.code in NOT_THE_ROWS:
            raise Unavailable(str(refused)) from refused
        raise
