"""What a raw table's materialized views make of its rows, as SQL to do it again: for checks and repairs.

Nothing here is written per table: the views and their targets are read from ClickHouse's own catalogue, so a rollup
that is added is checked from then on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from libs.storage.clickhouse import ClickHouse

MINUTE: Final = "Minute"
STORED_AT: Final = "IngestedAt"

VIEWS = """
SELECT
    name, as_select, extract(create_table_query, ' TO (?:`?\\\\w+`?\\\\.)?`?(\\\\w+)`?') AS target
FROM system.tables
WHERE database = currentDatabase() AND engine = 'MaterializedView'
    AND name IN (
        SELECT arrayJoin(dependencies_table) FROM system.tables
        WHERE database = currentDatabase() AND name = %(table)s
    )
ORDER BY name
"""
TARGET = "SELECT engine, sorting_key FROM system.tables WHERE database = currentDatabase() AND name = %(table)s"
COLUMNS = """
SELECT name, type FROM system.columns
WHERE database = currentDatabase() AND table = %(table)s AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')
ORDER BY position
"""


class Repair(StrEnum):
    """How a rollup is made right again."""

    REPEAT = "repeat"  # writing rows a second time changes nothing: replacing keys, least and greatest values
    DERIVE = "derive"  # sums and sketches: a minute is deleted and derived again from the raw rows


@dataclass(frozen=True, slots=True)
class Rollup:
    """One target of a materialized view: its key, what it adds up, and the view's query."""

    table: str
    source: str  # the raw table, with its database
    select: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    measures: tuple[str, ...]  # expressions that merge rows of one key; what is not deterministic is left out
    repair: Repair

    def over(self, condition: str) -> str:
        """Return the view's query over those raw rows only that meet a condition."""
        return re.sub(
            rf"\bFROM {re.escape(self.source)}(?![\w.])",
            f"FROM (SELECT * FROM {self.source} WHERE {condition})",
            self.select,
        )

    def write(self, condition: str) -> str:
        """Return the statement that writes what the raw rows meeting a condition come to.

        The moment a row was stored is set anew, for those who ask what came lately.
        """
        names = ", ".join(self.columns)
        values = ", ".join(f"now64(3) AS {STORED_AT}" if c == STORED_AT else c for c in self.columns)
        return (
            f"INSERT INTO {self.table} ({names}) SELECT {values} FROM ({self.over(condition)}) "
            "SETTINGS insert_deduplicate = 0"
        )

    def digest(self, rows: str) -> str:
        """Return the query for one number that tells two sets of rows apart, whatever parts they are in."""
        values = [f"{measure} AS m{n}" for n, measure in enumerate(self.measures)]
        names = [*self.key, *(f"m{n}" for n in range(len(values)))]
        grouped = f"SELECT {', '.join([*self.key, *values])} FROM {rows} GROUP BY {', '.join(self.key)}"
        return f"SELECT sum(cityHash64({', '.join(names)})) FROM ({grouped})"


def find_rollups(clickhouse: ClickHouse, table: str) -> list[Rollup]:
    """Return the rollups fed by a raw table; raises what the pool raises."""
    return [
        _rollup(clickhouse, f"{clickhouse.database}.{table}", view, select, target)
        for view, select, target in clickhouse.query(VIEWS, {"table": table})
    ]


def _rollup(clickhouse: ClickHouse, source: str, view: str, select: str, target: str) -> Rollup:
    ((engine, sorting_key),) = clickhouse.query(TARGET, {"table": target})
    columns = clickhouse.query(COLUMNS, {"table": target})
    written = {name for name, _ in clickhouse.query(COLUMNS, {"table": view})}
    return describe(target, source, select, engine, sorting_key, [c for c in columns if c[0] in written])


def describe(
    target: str, source: str, select: str, engine: str, sorting_key: str, columns: list[tuple[Any, ...]]
) -> Rollup:
    """Return a rollup from what the catalogue says of its table; columns are (name, type)."""
    key = tuple(part.strip() for part in sorting_key.split(","))
    measured = [(name, kind) for name, kind in columns if name not in key]
    replaced = engine.removeprefix("Replicated").startswith("Replacing")
    measures = () if replaced else tuple(m for name, kind in measured if (m := measure(name, kind)))
    repeatable = replaced or all(_is_repeatable(kind) for _, kind in measured)
    repair = Repair.REPEAT if repeatable or MINUTE not in key else Repair.DERIVE
    return Rollup(target, source, select, tuple(name for name, _ in columns), key, measures, repair)


def measure(name: str, kind: str) -> str | None:
    """Return what merges a column over rows of one key, or None where the outcome depends on their order."""
    # a function whose stored form has changed is written with the number of that form in front
    if found := re.fullmatch(r"AggregateFunction\((?:\d+, )?(\w+)(\([^)]*\))?, .*\)", kind):
        function, parameters = found[1], found[2] or ""
        return f"{function}MergeState{parameters}({name})"
    if found := re.fullmatch(r"SimpleAggregateFunction\((\w+), (.*)\)", kind):
        unordered = found[1] in {"min", "max"} or (found[1].startswith("sum") and not found[2].startswith("Float"))
        return f"{found[1]}({name})" if unordered else None
    return f"sum({name})" if kind.startswith(("UInt", "Int")) else None


def _is_repeatable(kind: str) -> bool:
    return re.match(r"SimpleAggregateFunction\((min|max|any|anyLast), ", kind) is not None
