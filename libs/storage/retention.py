"""How long each tenant's telemetry is kept.

Tables are partitioned by day. A day goes as a whole when no tenant in it keeps it any longer; from a day that some
still keep, the others' rows are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Final

import structlog
from prometheus_client import Counter

from libs.otlp.batch import KEPT_DAYS
from libs.storage.clickhouse import ClickHouse, Refused

log = structlog.get_logger()
REFUSED = Counter("incidentscope_retention_refused_total", "Days that ClickHouse did not let go", ["table"])
RAW_DAYS: Final = 30
ROLLUP_DAYS: Final = 180
MOST_RAW_DAYS: Final = KEPT_DAYS  # the tables' own TTL
MOST_ROLLUP_DAYS: Final = 800

_DAYS = (
    "SELECT DISTINCT toDate({time}) AS Day, TenantId FROM {table} WHERE {time} < toDateTime(%(before)s) ORDER BY Day"
)
_KNOWN = "SELECT TenantId, RawDays, RollupDays FROM tenant_retention FINAL"


@dataclass(frozen=True, slots=True)
class Kept:
    """Days a tenant's raw rows and its one-minute rollups are kept."""

    raw: int = RAW_DAYS
    rollup: int = ROLLUP_DAYS


@dataclass(frozen=True, slots=True)
class TableKind:
    """A table by day: the column its partitions come from, and which of a tenant's two times applies."""

    table: str
    time: str
    days: Callable[[Kept], int]


def _raw(kept: Kept) -> int:
    return kept.raw


def _rollup(kept: Kept) -> int:
    return kept.rollup


TABLES: Final = (
    TableKind("logs_raw", "Timestamp", _raw),
    TableKind("spans_raw", "Timestamp", _raw),
    TableKind("metrics_timeseries", "TimeUnix", _raw),
    TableKind("trace_id_ranges", "Start", _raw),
    TableKind("error_rate_1m", "Minute", _rollup),
    TableKind("latency_p95_1m", "Minute", _rollup),
    TableKind("log_signatures_1m", "Minute", _rollup),
    TableKind("gauges_1m", "Minute", _rollup),
    TableKind("metric_series_1m", "Minute", _rollup),
    TableKind("service_edges_1m", "Minute", _rollup),
)


@dataclass(frozen=True, slots=True)
class Removal:
    """What goes from one day of one table: everything, or the rows of some tenants."""

    day: date
    tenants: tuple[str, ...] = ()  # none: the whole day


def plan(present: Iterable[tuple[date, str]], days_of: Callable[[str], int], today: date) -> list[Removal]:
    """Return what to remove, given the tenants in each day and how many days each keeps; days come in order."""
    removals = []
    for day, rows in groupby(sorted(present), key=lambda row: row[0]):
        tenants = [tenant for _, tenant in rows]
        over = tuple(tenant for tenant in tenants if day + timedelta(days=days_of(tenant)) < today)
        if over:
            removals.append(Removal(day) if len(over) == len(tenants) else Removal(day, over))
    return removals


class Retention:
    """Applies the retention of all tenants to the telemetry tables. Raises Unavailable and Refused as the pool does."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def set(self, tenant: str, kept: Kept) -> None:
        """Keep a tenant's telemetry so long from now on; raises ValueError outside what the tables can hold."""
        if not (1 <= kept.raw <= MOST_RAW_DAYS and 1 <= kept.rollup <= MOST_ROLLUP_DAYS):
            raise ValueError(f"raw days must be 1 to {MOST_RAW_DAYS}, rollup days 1 to {MOST_ROLLUP_DAYS}")
        row = (tenant, kept.raw, kept.rollup)
        self._clickhouse.insert_rows("tenant_retention", ("TenantId", "RawDays", "RollupDays"), [row])

    def known(self) -> dict[str, Kept]:
        """Return the tenants that have a retention of their own."""
        return {tenant: Kept(raw, rollup) for tenant, raw, rollup in self._clickhouse.query(_KNOWN)}

    def apply(self, today: date) -> dict[str, int]:
        """Remove what is over; returns how many days of each table were touched."""
        known = self.known()
        return {kind.table: self._apply(kind, known, today) for kind in TABLES}

    def _apply(self, kind: TableKind, known: Mapping[str, Kept], today: date) -> int:
        def days_of(tenant: str) -> int:
            return kind.days(known.get(tenant, Kept()))

        shortest = min([kind.days(kept) for kept in (Kept(), *known.values())])
        before = {"before": (today - timedelta(days=shortest)).isoformat() + " 00:00:00"}
        present = self._clickhouse.query(_DAYS.format(table=kind.table, time=kind.time), before)
        removals = plan(((day, tenant) for day, tenant in present), days_of, today)
        return sum(self._removed(kind.table, removal) for removal in removals)

    def _removed(self, table: str, removal: Removal) -> bool:
        """Remove a day and tell whether that was let; a day that ClickHouse refuses holds up none of the others."""
        try:
            self._remove(table, removal)
        except Refused as error:
            REFUSED.labels(table).inc()
            log.error("retention_refused", table=table, day=removal.day.isoformat(), error=str(error))
            return False
        return True

    def _remove(self, table: str, removal: Removal) -> None:
        day = f"'{removal.day.isoformat()}'"
        if not removal.tenants:
            return self._clickhouse.execute(f"ALTER TABLE {table} DROP PARTITION {day}")
        delete = f"ALTER TABLE {table} DELETE IN PARTITION {day} WHERE TenantId IN %(tenants)s"
        return self._clickhouse.execute(delete, {"tenants": removal.tenants})
