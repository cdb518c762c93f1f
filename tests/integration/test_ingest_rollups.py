"""What the tables make of the rows: minutes, signatures, levels, trace ranges and the exporter's views."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from libs.otlp.logs import TABLE as LOGS
from libs.otlp.metrics import TABLE as METRICS
from libs.otlp.reference import decode_logs, decode_metrics, decode_spans
from libs.otlp.spans import TABLE as SPANS
from libs.storage.clickhouse import ClickHouse
from tests.integration.ingest_world import attributes, new_trace, span
from tests.integration.rows_world import Tenant
from tests.unit.libs.kernel.test_log_masks import LINES
from tests.unit.libs.otlp.requests import logs, metrics, spans, value


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


@pytest.fixture
def tenant(clickhouse: ClickHouse) -> Tenant:
    return Tenant(clickhouse)


def test_calls_errors_and_durations_add_up_over_inserts(tenant: Tenant) -> None:
    requests = [
        spans(span(new_trace(), 1, kind=2, ms=10), span(new_trace(), 2, kind=3, ms=1)),
        spans(span(new_trace(), 3, kind=2, ms=30, error=True)),
    ]
    tenant.insert(SPANS, decode_spans, *requests)
    rows = tenant.query(
        "SELECT ServiceName, SpanKind, sum(Total), sum(Errors), sum(DurationSum) FROM error_rate_1m WHERE MINE "
        "GROUP BY ServiceName, SpanKind ORDER BY SpanKind"
    )
    assert rows == [("cart", "Client", 1, 0, 1_000_000), ("cart", "Server", 2, 1, 40_000_000)]


def test_percentiles_of_merged_minutes_are_within_one_percent(tenant: Tenant) -> None:
    tenant.insert(
        SPANS, decode_spans, *(spans(*(span(new_trace(), n, ms=n) for n in range(k, 101, 4))) for k in range(1, 5))
    )
    ((quantiles,),) = tenant.query(
        "SELECT quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(Latency) FROM latency_p95_1m WHERE MINE"
    )
    assert [round(q / 1e6) for q in quantiles] == pytest.approx([50, 95, 99], rel=0.02)


@pytest.mark.parametrize(("body", "signature"), LINES)
def test_what_varies_is_masked_in_a_signature_and_names_are_kept(tenant: Tenant, body: str, signature: str) -> None:
    now = time.time_ns()
    requests = [logs(LogRecord(time_unix_nano=now + n, severity_number=17, body=value(body))) for n in (0, 5)]  # type: ignore[arg-type]
    tenant.insert(LOGS, decode_logs, *requests)
    rows = tenant.query(
        "SELECT any(Signature), any(Example), sum(Count), toUnixTimestamp64Nano(min(FirstSeen)), "
        "toUnixTimestamp64Nano(max(LastSeen)), any(SeverityNumber) FROM log_signatures_1m WHERE MINE "
        "GROUP BY SignatureHash"
    )
    assert rows == [(signature, body, 2, now, now + 5, 17)]


def test_messages_that_differ_in_values_only_share_a_signature(tenant: Tenant) -> None:
    texts = [f"payment {n} to 10.0.0.{n} took {n * 3}.5ms id={n}ab" for n in range(20)]
    now = time.time_ns() // 60_000_000_000 * 60_000_000_000
    tenant.insert(LOGS, decode_logs, logs(*(LogRecord(time_unix_nano=now, body=value(t)) for t in texts)))
    assert tenant.query("SELECT uniqExact(SignatureHash), sum(Count) FROM log_signatures_1m WHERE MINE") == [(1, 20)]


def test_a_signature_was_first_seen_in_the_earliest_of_its_minutes(tenant: Tenant) -> None:
    start = (time.time_ns() // 60_000_000_000 - 5) * 60_000_000_000
    seen = [start + minute * 60_000_000_000 + 7 for minute in (2, 0, 1)]
    requests = [logs(LogRecord(time_unix_nano=at, body=value(f"job {at} lost"))) for at in seen]
    tenant.insert(LOGS, decode_logs, *requests)
    rows = tenant.query(
        "SELECT uniqExact(Minute), sum(Count), toUnixTimestamp64Nano(min(FirstSeen)), "
        "toUnixTimestamp64Nano(max(LastSeen)) FROM log_signatures_1m WHERE MINE GROUP BY SignatureHash"
    )
    assert rows == [(3, 3, min(seen), max(seen))]


def test_a_repeated_insert_adds_nothing_to_the_signatures(tenant: Tenant) -> None:
    request = logs(LogRecord(time_unix_nano=time.time_ns(), body=value("once 1")))
    tenant.insert(LOGS, decode_logs, request)
    tenant.insert(LOGS, decode_logs, request)
    assert tenant.query("SELECT sum(Count) FROM log_signatures_1m WHERE MINE") == [(1,)]


def test_the_type_of_an_exception_is_part_of_the_signature(tenant: Tenant) -> None:
    record = LogRecord(time_unix_nano=time.time_ns(), body=value("request 5 failed"))
    record.attributes.extend(attributes({"exception.type": "shop.CardRefused"}))
    tenant.insert(LOGS, decode_logs, logs(record))
    assert tenant.query("SELECT Signature FROM log_signatures_1m WHERE MINE") == [
        ("shop.CardRefused: request <*> failed",)
    ]


def number(at: float, flags: int = 0) -> m.NumberDataPoint:
    """Return a point of now."""
    return m.NumberDataPoint(time_unix_nano=time.time_ns(), as_double=at, flags=flags)


def test_levels_are_rolled_up_and_totals_are_not(tenant: Tenant) -> None:
    cpu = m.Metric(
        name="cpu",
        unit="1",
        gauge=m.Gauge(data_points=[number(0.2), number(0.6), number(9, flags=1), number(float("nan"))]),
    )
    queue = m.Metric(name="queue", sum=m.Sum(is_monotonic=False, data_points=[number(-3)]))
    requests = m.Metric(name="requests", sum=m.Sum(is_monotonic=True, data_points=[number(10)]))
    tenant.insert(METRICS, decode_metrics, metrics(cpu, queue, requests), metrics(cpu))
    rows = tenant.query(
        "SELECT MetricName, any(MetricUnit), sum(ValueSum), sum(ValueCount), min(ValueMin), max(ValueMax) "
        "FROM gauges_1m WHERE MINE GROUP BY MetricName ORDER BY MetricName"
    )
    assert rows == [("cpu", "1", pytest.approx(1.6), 4, 0.2, 0.6), ("queue", "", -3.0, 1, -3.0, -3.0)]


def test_a_trace_is_found_by_its_time_range(tenant: Tenant) -> None:
    trace = new_trace()
    first, second = span(trace, 1, ms=100), span(trace, 2, ms=5)
    tenant.insert(SPANS, decode_spans, spans(second), spans(first))
    ((start, end),) = tenant.query(
        "SELECT toUnixTimestamp64Nano(min(Start)), toUnixTimestamp64Nano(max(End)) FROM trace_id_ranges WHERE MINE"
    )
    assert (start, end) == (first.start_time_unix_nano, first.end_time_unix_nano)
    view = tenant.query(f"SELECT Start <= End FROM otel_traces_trace_id_ts WHERE TraceId = '{trace.hex()}'")
    assert view == [(1,)]


EXPORTER = json.loads(Path(__file__).with_name("exporter_columns.json").read_text())["tables"]


@pytest.mark.parametrize("view", EXPORTER)
def test_views_have_the_columns_of_the_collectors_exporter(clickhouse: ClickHouse, view: str) -> None:
    columns = {name: plain(kind) for name, kind, *_ in clickhouse.query(f"DESCRIBE TABLE {view}")}
    wanted = {name: plain(kind) for name, kind in EXPORTER[view]["columns"].items()}
    assert columns == wanted | {"TenantId": "String"}


def plain(kind: str) -> str:
    """Return a type without how it is stored: dictionaries, and the function that merges its rows."""
    without_dictionary = re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)
    return re.sub(r"SimpleAggregateFunction\(\w+, (\w+)\)", r"\1", without_dictionary)


def test_attributes_are_listed_as_items(tenant: Tenant) -> None:
    made = span(new_trace(), 1, http__route="/cart", a="=")
    tenant.insert(SPANS, decode_spans, spans(made))
    sql = "SELECT SpanAttributeItems, has(ResourceAttributeItems, 'service.name=cart') FROM otel_traces WHERE MINE"
    assert tenant.query(sql) == [(["a==", "http.route=/cart"], 1)]


def test_every_table_that_views_write_to_drops_repeated_blocks(clickhouse: ClickHouse) -> None:
    engines = clickhouse.query(
        "SELECT name, create_table_query FROM system.tables "
        "WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    ours = {name: made for name, made in engines if not name.startswith((".", "schema_"))}
    assert {"logs_raw", "spans_raw", "metrics_timeseries", "error_rate_1m", "service_half_edges"} <= ours.keys()
    without = [
        name for name, made in ours.items() if name.endswith(("_raw", "_1m", "_edges", "_timeseries", "_ranges"))
        and "non_replicated_deduplication_window = 10000" not in made
    ]  # fmt: skip
    assert without == []
