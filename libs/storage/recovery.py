"""After an insert whose outcome is not known: count its rows by their coordinates, and add what is missing.

On a table that is not replicated, ClickHouse records a deduplication token before it commits the part, so a server
killed between the two drops the retry of rows it does not have. Coordinates tell: topic, partition, offset, index.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any, Final

import structlog

from libs.kernel.errors import Unavailable
from libs.messaging.batch_plan import Extent
from libs.otlp.batch import DecodedBatch
from libs.storage.clickhouse import ClickHouse
from libs.storage.rollups import COLUMNS, Repair, find_rollups

log = structlog.get_logger()
TIME_COLUMNS: Final = {"metrics_timeseries": "TimeUnix"}  # the others call it Timestamp

WITHIN = """IngestTopic = '{topic}' AND IngestPartition = {partition} AND IngestOffset BETWEEN {first} AND {last}"""
RUNNING = """
SELECT count() FROM system.processes
WHERE query_kind = 'Insert' AND startsWith(Settings['insert_deduplication_token'], %(token)s)
"""
NOTE = """
INSERT INTO rollup_checks (RawTable, TenantId, Minute, Done, Version)
SELECT DISTINCT '{table}', TenantId, toDateTime(toStartOfMinute({time})), false, toUnixTimestamp64Micro(now64(6))
FROM {table} WHERE {condition}
SETTINGS insert_deduplicate = 0
"""


def within(extent: Extent) -> str:
    """Return the SQL condition of an extent's rows."""
    topic = extent.topic.replace("\\", "\\\\").replace("'", "\\'")
    return WITHIN.format(topic=topic, partition=extent.partition, first=extent.first, last=extent.last)


def time_column(table: str) -> str:
    """Return the column that says when a row of a raw table happened."""
    return TIME_COLUMNS.get(table, "Timestamp")


class RangeRecovery:
    """Makes a raw table hold every row of a range once, and has the rollups checked. All raise Unavailable, Refused."""

    def __init__(self, clickhouse: ClickHouse, table: str) -> None:
        self._clickhouse = clickhouse
        self._table = table

    def verify(self, batch: DecodedBatch, extent: Extent, token: str) -> int:
        """Return how many rows of the batch had to be added, after an insert of it under `token` may have happened.

        The extent holds rows of this batch only. The tokens of the first attempts are the same for everybody, so two
        that recover one range at a time do not add it twice; the last is new. Raises Unavailable while an insert
        under the token still runs.
        """
        self.require_idle(token)
        missing = batch.rows - self.count(extent)
        for attempt in (f"{token}:again:0", f"{token}:again:1", f"{token}:again:{uuid.uuid4().hex}"):
            if batch.rows <= self.count(extent):
                break
            self.add_missing(batch, extent, attempt)
        else:  # acknowledged under a token nobody ever used, and yet not there: past its time to live
            log.warning("rows_expired", table=self._table, **asdict(extent))
        if missing > 0:
            log.warning("rows_recovered", table=self._table, rows=missing, **asdict(extent))
        self.repeat_rollups(extent)
        return max(0, missing)

    def require_idle(self, token: str) -> None:
        """Raise Unavailable while an insert of these rows runs, as one that its sender did not live to see end."""
        ((running,),) = self._clickhouse.query(RUNNING, {"token": token})
        if running:
            raise Unavailable(f"an earlier insert into {self._table} still runs")

    def count(self, extent: Extent) -> int:
        """Return how many rows of the extent there are."""
        ((rows,),) = self._clickhouse.query(f"SELECT count() FROM {self._table} WHERE {within(extent)}")
        return int(rows)

    def add_missing(self, batch: DecodedBatch, extent: Extent, token: str) -> None:
        """Insert those rows of a batch whose coordinates are not in the table."""
        names = ", ".join(f"`{c}`" for c in batch.columns)
        present = f"SELECT IngestOffset, IngestIndex FROM {self._table} WHERE {within(extent)}"
        source = f"input({_literal(self._structure(batch.columns))})"
        condition = f"(IngestOffset, IngestIndex) NOT IN ({present})"
        self._clickhouse.insert_body(
            f"INSERT INTO {self._table} ({names}) SELECT {names} FROM {source} WHERE {condition} "
            "LIMIT 1 BY IngestOffset, IngestIndex FORMAT Native",
            batch.body,
            token,
        )

    def repeat_rollups(self, extent: Extent) -> None:
        """Write again what can be written twice, and note the minutes for RollupChecks to look at."""
        for rollup in find_rollups(self._clickhouse, self._table):
            if rollup.repair is Repair.REPEAT:
                self._clickhouse.execute(rollup.write(within(extent)))
        note = NOTE.format(table=self._table, time=time_column(self._table), condition=within(extent))
        self._clickhouse.execute(note)

    def _structure(self, names: tuple[str, ...]) -> str:
        found: dict[str, Any] = dict(self._clickhouse.query(COLUMNS, {"table": self._table}))
        return ", ".join(f"`{name}` {found[name]}" for name in names)


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
