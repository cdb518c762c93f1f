"""What a server that dies between a token's record and its part loses, recovery brings back: raw rows and rollups.

The loss is simulated by deleting rows of an insert whose token stays known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from libs.messaging.batch_plan import Extent
from libs.otlp.batch import Decode, DecodedBatch, Message
from libs.otlp.logs import TABLE as LOGS
from libs.otlp.metrics import TABLE as METRICS
from libs.otlp.reference import decode_logs, decode_metrics, decode_spans
from libs.otlp.spans import TABLE as SPANS
from libs.storage.clickhouse import ClickHouse
from libs.storage.recovery import RangeRecovery
from libs.storage.rollup_checks import Outcome, RollupChecks
from libs.storage.rollups import Repair, find_rollups
from tests.integration.alert_world import unique
from tests.integration.ingest_world import new_trace, span
from tests.unit.libs.otlp.requests import logs, metrics, spans, value

MESSAGES, EACH = 5, 40


@dataclass
class Case:
    """One inserted batch of a signal, and what recovers it."""

    clickhouse: ClickHouse
    table: str
    decode: Decode
    requests: list[bytes]
    name: str = field(default_factory=lambda: unique("recovery"))

    def __post_init__(self) -> None:
        self.recovery = RangeRecovery(self.clickhouse, self.table)
        self.extent = Extent(self.name, 3, 100, 100 + len(self.requests) - 1)
        self.token = f"v1:{self.table}:{self.name}"
        self.batch = self.read()
        self.send()

    def read(self) -> DecodedBatch:
        """Return the decoded batch."""
        now = time.time_ns() // 1_000_000
        numbered = enumerate(self.requests, start=100)
        return self.decode([Message(r, self.name, self.name, 3, offset, now) for offset, r in numbered])

    def send(self) -> None:
        """Insert under the token."""
        self.clickhouse.insert_native(self.table, self.batch.columns, self.batch.body, self.token)

    def lose(self, table: str, condition: str) -> None:
        """Delete rows of this case, as though their part had not been committed."""
        where = f"TenantId = '{self.name}' AND {condition}"
        self.clickhouse.execute(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")

    def number(self, what: str, table: str) -> Any:
        """Return one value over this case's rows."""
        ((found,),) = self.clickhouse.query(f"SELECT {what} FROM {table} WHERE TenantId = '{self.name}'")
        return found

    def checks(self) -> list[Outcome]:
        """Look at the noted minutes until all are equal and return this case's outcomes."""
        job = RollupChecks(self.clickhouse, self.table, lambda: True, lambda _: None)
        found: list[Outcome] = []
        deadline = time.monotonic() + 60
        while mine := {k: o for k, o in job.run_once().items() if k.tenant == self.name}:
            assert time.monotonic() < deadline, found
            found += sorted(set(mine.values()))
        return found


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


@pytest.fixture
def traces(clickhouse: ClickHouse) -> Case:
    exports = [
        spans(*(span(new_trace(), n + 1, parent=n + 7, ms=n + k + 1, error=n % 4 == 0) for n in range(EACH)))
        for k in range(MESSAGES)
    ]
    return Case(clickhouse, SPANS, decode_spans, [e.SerializeToString() for e in exports])


def log_exports() -> list[bytes]:
    """Return exports of log lines of three shapes."""
    now = time.time_ns()
    return [
        logs(
            *(LogRecord(time_unix_nano=now, body=value(f"shape {'abc'[n % 3]}")) for n in range(EACH))
        ).SerializeToString()
        for _ in range(MESSAGES)
    ]


def metric_exports() -> list[bytes]:
    """Return exports of a gauge."""
    now = time.time_ns()
    points = [m.NumberDataPoint(as_double=n, time_unix_nano=now) for n in range(EACH)]
    return [
        metrics(m.Metric(name="level", gauge=m.Gauge(data_points=points))).SerializeToString() for _ in range(MESSAGES)
    ]


@pytest.mark.parametrize("lost", ["1", "IngestOffset = 102", "IngestOffset = 103 AND IngestIndex >= 17"])
def test_rows_whose_token_is_known_and_whose_part_is_gone_come_back_once(traces: Case, lost: str) -> None:
    traces.lose(SPANS, lost)
    before = traces.number("count()", SPANS)
    traces.send()
    assert traces.number("count()", SPANS) == before, "the token was forgotten: this proves nothing"
    assert traces.recovery.verify(traces.batch, traces.extent, traces.token) == MESSAGES * EACH - before
    assert traces.number("count()", SPANS) == MESSAGES * EACH
    assert traces.number("uniqExact(IngestOffset, IngestIndex)", SPANS) == MESSAGES * EACH
    assert traces.recovery.verify(traces.batch, traces.extent, traces.token) == 0


def test_rollups_that_doubled_while_raw_rows_came_back_are_derived_again(traces: Case) -> None:
    traces.lose(SPANS, "IngestOffset = 102")
    traces.recovery.verify(traces.batch, traces.extent, traces.token)
    assert traces.number("sum(Total)", "error_rate_1m") == (MESSAGES + 1) * EACH
    assert traces.checks() == [Outcome.DERIVED, Outcome.EQUAL]
    assert traces.number("sum(Total)", "error_rate_1m") == MESSAGES * EACH
    assert traces.number("sum(Errors)", "error_rate_1m") == MESSAGES * EACH / 4
    assert traces.number("sum(DurationSum)", "error_rate_1m") == traces.number("sum(Duration)", SPANS)


@pytest.mark.parametrize("rollup", ["error_rate_1m", "latency_p95_1m"])
def test_a_minute_of_a_rollup_that_was_lost_is_derived_again(traces: Case, rollup: str) -> None:
    merged = "hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(Latency))" if rollup.startswith("lat") else "sum(Total)"
    before = traces.number(merged, rollup)
    traces.lose(rollup, "1")
    traces.recovery.verify(traces.batch, traces.extent, traces.token)
    assert traces.checks() == [Outcome.DERIVED, Outcome.EQUAL]
    assert traces.number(merged, rollup) == before


@pytest.mark.parametrize(("table", "what"), [("service_half_edges", "count()"), ("trace_id_ranges", "uniq(TraceId)")])
def test_what_can_be_written_twice_is_written_again_at_once(traces: Case, table: str, what: str) -> None:
    before = traces.number(what, f"{table} FINAL")
    traces.lose(table, "1")
    for _ in range(2):
        traces.recovery.verify(traces.batch, traces.extent, traces.token)
    assert traces.number(what, f"{table} FINAL") == before > 0
    assert traces.checks() == [Outcome.EQUAL]


def test_log_signatures_and_gauges_are_derived_again(clickhouse: ClickHouse) -> None:
    for table, decode, exports, rollup, total in (
        (LOGS, decode_logs, log_exports(), "log_signatures_1m", "sum(Count)"),
        (METRICS, decode_metrics, metric_exports(), "gauges_1m", "sum(ValueCount)"),
    ):
        case = Case(clickhouse, table, decode, exports)
        case.lose(rollup, "1")
        case.recovery.verify(case.batch, case.extent, case.token)
        assert case.checks() == [Outcome.DERIVED, Outcome.EQUAL]
        assert case.number(total, rollup) == MESSAGES * EACH


def test_a_minute_without_a_difference_is_left_alone(traces: Case) -> None:
    rows = traces.number("groupArray(tuple(_part, _part_offset))", "error_rate_1m")
    traces.recovery.verify(traces.batch, traces.extent, traces.token)
    assert traces.checks() == [Outcome.EQUAL]
    assert traces.number("groupArray(tuple(_part, _part_offset))", "error_rate_1m") == rows


def test_every_materialized_view_is_known_with_the_way_to_repair_it(clickhouse: ClickHouse) -> None:
    found = {r.table: r.repair for table in (LOGS, SPANS, METRICS) for r in find_rollups(clickhouse, table)}
    ((views,),) = clickhouse.query(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView'"
    )
    assert len(found) == views
    assert {name for name, repair in found.items() if repair is Repair.REPEAT} >= {
        "service_half_edges",
        "trace_id_ranges",
    }
    assert {"error_rate_1m", "latency_p95_1m", "log_signatures_1m", "gauges_1m"} <= {
        name for name, repair in found.items() if repair is Repair.DERIVE
    }
