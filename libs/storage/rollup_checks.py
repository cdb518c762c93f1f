"""Compares noted minutes of the rollups with the raw rows, and derives again those that differ: raw is the truth.

A comparison counts only when the minute was quiet: the raw rows were the same before and after it, and inserts that
were running at its start had ended, views included. A busy minute is tried again later. A minute stays noted until a
comparison finds it equal, so a death at any point, or rows that arrive while it is derived, only mean one more round.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from libs.kernel.errors import InvalidInput, Unavailable
from libs.storage.clickhouse import ClickHouse
from libs.storage.recovery import time_column
from libs.storage.rollups import Repair, Rollup, find_rollups

log = structlog.get_logger()
EVERY_SECONDS: Final = 2.0
INSERT_SECONDS: Final = 20.0  # how long to wait for running inserts before the minute is left for later

PENDING = """
SELECT TenantId, toUnixTimestamp(Minute), max(Version)
FROM rollup_checks FINAL
WHERE RawTable = %(table)s AND NOT Done
GROUP BY TenantId, Minute
ORDER BY Minute
"""
DONE = """
INSERT INTO rollup_checks (RawTable, TenantId, Minute, Done, Version)
SELECT %(table)s, %(tenant)s, toDateTime(%(minute)s), true, %(version)s + 1
SETTINGS insert_deduplicate = 0
"""
INSERTS = """
SELECT query_id FROM system.processes
WHERE query_kind = 'Insert' AND position(Settings['insert_deduplication_token'], %(mark)s) > 0
"""


class Outcome(StrEnum):
    """What became of one minute."""

    EQUAL = "equal"
    DERIVED = "derived"  # and to be compared again
    BUSY = "busy"
    FAILED = "failed"  # and to be tried again, behind the others


@dataclass(frozen=True, slots=True)
class Minute:
    """A minute of a tenant, as Unix seconds, and the note it comes from."""

    tenant: str
    start: int
    version: int


class RollupChecks:
    """The job of one raw table. One process at a time should run it: the one for which `mine` is true."""

    def __init__(
        self, clickhouse: ClickHouse, table: str, mine: Callable[[], bool], outcome: Callable[[Outcome], None]
    ) -> None:
        self._clickhouse = clickhouse
        self._table = table
        self._mine = mine
        self._outcome = outcome
        self._stop = threading.Event()

    def run(self) -> None:
        """Look at noted minutes until stopped; a server that is down is tried again later."""
        while not self._stop.wait(EVERY_SECONDS):
            if not self._mine():
                continue
            try:
                self.run_once()
            except (Unavailable, InvalidInput) as error:
                log.warning("rollup_checks_wait", table=self._table, error=str(error))
            except Exception as error:  # ours, not the server's; the consumer beside it must not end for it
                log.error("rollup_checks_failed", table=self._table, error=repr(error), exc_info=error)

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stop.set()

    def run_once(self) -> dict[Minute, Outcome]:
        """Look at each noted minute once, whatever ClickHouse says to another's; raises Unavailable, Refused."""
        found = self._clickhouse.query(PENDING, {"table": self._table})
        minutes = [Minute(*row) for row in found]
        outcomes: dict[Minute, Outcome] = {}
        if not minutes:
            return outcomes
        rollups = [r for r in find_rollups(self._clickhouse, self._table) if r.repair is Repair.DERIVE]
        for minute in minutes:
            if self._stop.is_set():
                break
            outcomes[minute] = self._checked(minute, rollups)
            self._outcome(outcomes[minute])
        return outcomes

    def _checked(self, minute: Minute, rollups: list[Rollup]) -> Outcome:
        try:
            return self._check(minute, rollups)
        except InvalidInput as error:
            log.error("rollup_check_refused", tenant=minute.tenant, minute=minute.start, error=str(error))
            return Outcome.FAILED

    def _check(self, minute: Minute, rollups: list[Rollup]) -> Outcome:
        rows = self._rows(minute)
        if not self._inserts_ended() or rows != self._rows(minute):
            return Outcome.BUSY
        wrong = [rollup for rollup in rollups if self._differs(rollup, minute)]
        if rows != self._rows(minute):
            return Outcome.BUSY
        for rollup in wrong:
            self._derive(rollup, minute)
        if wrong:
            return Outcome.DERIVED
        about = {"table": self._table, "tenant": minute.tenant, "minute": minute.start, "version": minute.version}
        self._clickhouse.execute(DONE, about)
        return Outcome.EQUAL

    def _differs(self, rollup: Rollup, minute: Minute) -> bool:
        stored = f"(SELECT * FROM {rollup.table} WHERE {_rollup_condition(minute)})"
        derived = f"({rollup.over(self._raw_condition(minute))})"
        return self._clickhouse.query(rollup.digest(stored)) != self._clickhouse.query(rollup.digest(derived))

    def _derive(self, rollup: Rollup, minute: Minute) -> None:
        log.warning("rollup_derived", rollup=rollup.table, tenant=minute.tenant, minute=minute.start)
        condition = _rollup_condition(minute)
        self._clickhouse.execute(f"ALTER TABLE {rollup.table} DELETE WHERE {condition} SETTINGS mutations_sync = 2")
        self._clickhouse.execute(rollup.write(self._raw_condition(minute)))

    def _rows(self, minute: Minute) -> int:
        sql = f"SELECT count() FROM {self._table} WHERE {self._raw_condition(minute)}"
        ((rows,),) = self._clickhouse.query(sql)
        return int(rows)

    def _inserts_ended(self) -> bool:
        """Return whether the inserts into the raw table that run now have ended before long."""
        running = self._inserts()
        deadline = time.monotonic() + INSERT_SECONDS
        while running:
            if time.monotonic() > deadline or self._stop.wait(0.1):
                return False
            running &= self._inserts()
        return True

    def _inserts(self) -> set[str]:
        return {query_id for (query_id,) in self._clickhouse.query(INSERTS, {"mark": f":{self._table}:"})}

    def _raw_condition(self, minute: Minute) -> str:
        time_of_row, start = time_column(self._table), f"fromUnixTimestamp64Second({minute.start})"
        return (
            f"TenantId = {_text(minute.tenant)} AND {time_of_row} >= {start} AND {time_of_row} < addMinutes({start}, 1)"
        )


def _rollup_condition(minute: Minute) -> str:
    return f"TenantId = {_text(minute.tenant)} AND Minute = toDateTime({minute.start})"


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
