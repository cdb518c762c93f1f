"""Metrics as a user asks for them: growth per series and minute, and the health of services that send no spans."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as m

from libs.otlp.metrics import TABLE as METRICS
from libs.otlp.reference import decode_metrics, decode_spans
from libs.otlp.spans import TABLE as SPANS
from libs.storage.clickhouse import ClickHouse
from tests.integration.ingest_world import new_trace, span
from tests.integration.rows_world import Tenant
from tests.unit.libs.otlp.requests import attributes, metrics, spans

MINUTE = 60 * 10**9
DELTA, CUMULATIVE = 1, 2
NOW = time.time_ns() // MINUTE * MINUTE - 30 * MINUTE  # the minute called 0 below


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


@pytest.fixture
def tenant(clickhouse: ClickHouse) -> Tenant:
    return Tenant(clickhouse)


def bounds(first: int = 0, last: int = 10) -> str:
    """Return the arguments that select minutes."""
    first_s, last_s = (f"toString(toDateTime({(NOW + at * MINUTE) // 10**9}, 'UTC'))" for at in (first, last))
    return f"first = {first_s}, last = {last_s}"


def total(name: str, temporality: int, *values: tuple[float, float], start: float = 0, **about: str) -> m.Metric:
    """Return a monotonic sum with points at (minute, value), begun at minute `start`."""
    points = [
        m.NumberDataPoint(
            start_time_unix_nano=int(NOW + start * MINUTE), time_unix_nano=int(NOW + at * MINUTE), as_double=value,
            attributes=attributes(about),
        )
        for at, value in values
    ]  # fmt: skip
    return m.Metric(
        name=name,
        sum=m.Sum(aggregation_temporality=temporality, is_monotonic=True, data_points=points),  # type: ignore[arg-type]
    )


def increases(tenant: Tenant, metric: str) -> dict[int, float | None]:
    """Return the growth of a metric by minute."""
    rows = tenant.query(
        f"SELECT toUnixTimestamp(Minute), sum(Increase) FROM metric_increase_1m(tenant = '{tenant.id}', "
        f"metric = '{metric}', {bounds()}) GROUP BY Minute ORDER BY Minute"
    )
    return {(at - NOW // 10**9) // 60: growth for at, growth in rows}


def test_a_series_keeps_its_number_and_another_attribute_is_another_series(tenant: Tenant) -> None:
    one = total("orders", DELTA, (0.5, 1), a="1", b="2")
    tenant.insert(METRICS, decode_metrics, metrics(one), metrics(one), metrics(total("orders", DELTA, (0.5, 1), a="1")))
    rows = tenant.query("SELECT SeriesId, count() FROM metrics_timeseries WHERE MINE GROUP BY SeriesId")
    assert sorted(count for _, count in rows) == [1, 2]


def test_delta_points_add_up(tenant: Tenant) -> None:
    tenant.insert(
        METRICS,
        decode_metrics,
        metrics(total("orders", DELTA, (0.2, 3), (0.7, 4))),
        metrics(total("orders", DELTA, (2.1, 5))),
    )
    assert increases(tenant, "orders") == {0: 7, 2: 5}


def test_cumulative_points_are_differences_whatever_order_they_arrive_in(tenant: Tenant) -> None:
    later = total("orders", CUMULATIVE, (2.5, 30), (4.5, 42), start=-60)
    earlier = total("orders", CUMULATIVE, (0.5, 10), (0.9, 12), start=-60)
    tenant.insert(METRICS, decode_metrics, metrics(later), metrics(earlier))
    assert increases(tenant, "orders") == {2: 18, 4: 12}  # what came before minute 0 is not known


def test_a_cumulative_series_that_begins_or_begins_anew_counts_from_its_start(tenant: Tenant) -> None:
    first = total("orders", CUMULATIVE, (0.5, 10), (1.5, 15), start=0.1)
    restarted = total("orders", CUMULATIVE, (2.5, 4), (3.5, 9), start=2.1)
    silent = total("errors", CUMULATIVE, (1.5, 7), (2.5, 3), start=-60)  # a reset that its start time does not show
    tenant.insert(METRICS, decode_metrics, metrics(first, silent), metrics(restarted))
    assert increases(tenant, "orders") == {0: 10, 1: 5, 2: 4, 3: 5}
    assert increases(tenant, "errors") == {2: 3}


def histogram(
    name: str, temporality: int, points: Sequence[tuple[float, list[int], dict[str, str]]], unit: str = "s"
) -> m.Metric:
    """Return a histogram over 0.1, 0.5, 1 with (minute, bucket counts, attributes) as points."""
    made = [
        m.HistogramDataPoint(
            start_time_unix_nano=NOW - 60 * MINUTE, time_unix_nano=int(NOW + at * MINUTE), count=sum(counts), sum=1.0,
            bucket_counts=counts, explicit_bounds=[0.1, 0.5, 1.0], attributes=attributes(about),
        )
        for at, counts, about in points
    ]  # fmt: skip
    data = m.Histogram(aggregation_temporality=temporality, data_points=made)  # type: ignore[arg-type]
    return m.Metric(name=name, unit=unit, histogram=data)


def health(tenant: Tenant, columns: str = "Source, Requests, Errors, P50Ms, P95Ms") -> list[tuple[Any, ...]]:
    """Return the health of the tenant's services in order of minute and name."""
    return tenant.query(
        f"SELECT ServiceName, {columns} FROM service_health_1m(tenant = '{tenant.id}', {bounds()}) "
        "ORDER BY Minute, ServiceName"
    )


def test_the_health_of_a_service_without_spans_comes_from_its_histograms(tenant: Tenant) -> None:
    broken = {"error.type": "500"}
    cumulative = [
        (0.5, [10, 10, 0, 0], {}),
        (1.5, [50, 40, 10, 0], {}),
        (0.5, [0, 0, 0, 0], broken),
        (1.5, [0, 0, 0, 20], broken),
    ]
    tenant.insert(METRICS, decode_metrics, metrics(histogram("http.server.request.duration", CUMULATIVE, cumulative)))
    # Minute 1: 40 to 100 ms, 30 to 500 ms, 10 to 1 s and 20 above; half of 100 is a third into the second bucket.
    assert health(tenant) == [("cart", "metrics", 100, 20, pytest.approx(100 + 400 / 3), 1000.0)]


def test_old_names_and_units_are_read_unless_the_new_ones_are_there(tenant: Tenant) -> None:
    old = histogram("http.server.duration", DELTA, [(0.5, [4, 0, 0, 0], {"http.status_code": "503"})], unit="ms")
    new = histogram("http.server.request.duration", DELTA, [(1.5, [8, 0, 0, 0], {})])
    doubled = histogram("http.server.duration", DELTA, [(1.5, [8, 0, 0, 0], {})], unit="ms")
    rpc = histogram("rpc.server.duration", DELTA, [(1.5, [2, 0, 0, 0], {"rpc.grpc.status_code": "14"})], unit="ms")
    tenant.insert(METRICS, decode_metrics, metrics(old, new, doubled, rpc))
    assert health(tenant, "Requests, Errors") == [("cart", 4, 4), ("cart", 10, 2)]


@pytest.mark.parametrize(
    ("about", "failed"),
    [
        ({"http.response.status_code": "502"}, 1), ({"http.response.status_code": "404"}, 0),
        ({"http.response.status_code": "200", "error.type": "timeout"}, 1),
        ({"http.status_code": "500"}, 1), ({"http.status_code": "499"}, 0),
    ],
)  # fmt: skip
def test_a_failure_is_known_by_its_error_type_or_its_status(tenant: Tenant, about: dict[str, str], failed: int) -> None:
    measured = histogram("http.server.request.duration", DELTA, [(0.5, [1, 0, 0, 0], about)])
    tenant.insert(METRICS, decode_metrics, metrics(measured))
    assert health(tenant, "Requests, Errors") == [("cart", 1, failed)]


def counted(temporality: int, *points: dict[str, Any]) -> m.Metric:
    """Return a histogram of points given by their fields, and `at`, their minute."""
    made = [
        m.HistogramDataPoint(
            start_time_unix_nano=NOW - 60 * MINUTE, time_unix_nano=int(NOW + about.pop("at") * MINUTE), **about
        )
        for about in points
    ]
    data = m.Histogram(aggregation_temporality=temporality, data_points=made)  # type: ignore[arg-type]
    return m.Metric(name="http.server.request.duration", unit="s", histogram=data)


INFINITE = float("inf")
UNKNOWN_PERCENTILES: list[dict[str, Any]] = [
    {}, {"bucket_counts": [10]}, {"bucket_counts": [1, 2, 3]}, {"bucket_counts": [0, 0], "explicit_bounds": [0.5]},
    {"bucket_counts": [0, 0, 10], "explicit_bounds": [0.5, INFINITE]},
]  # fmt: skip


@pytest.mark.parametrize("about", UNKNOWN_PERCENTILES)
def test_percentiles_that_are_not_known_are_null(tenant: Tenant, about: dict[str, Any]) -> None:
    measured = counted(DELTA, {"at": 0.5, "count": 10, "sum": 5.0, **about})
    tenant.insert(METRICS, decode_metrics, metrics(measured))
    assert health(tenant, "Requests, P50Ms, P95Ms, P99Ms") == [("cart", 10, None, None, None)]


def test_percentiles_come_from_the_series_that_have_buckets(tenant: Tenant) -> None:
    known = {"at": 0.5, "count": 4, "sum": 0.4, "bucket_counts": [4, 0], "explicit_bounds": [0.1]}
    tenant.insert(
        METRICS, decode_metrics, metrics(counted(DELTA, known, {"at": 0.6, "count": 6, "bucket_counts": [6]}))
    )
    assert health(tenant, "Requests, P50Ms") == [("cart", 10, pytest.approx(50))]


@pytest.mark.parametrize("broken", [float("nan"), INFINITE])
@pytest.mark.parametrize(("temporality", "counts"), [(DELTA, {0: 4, 1: 10}), (CUMULATIVE, {1: 6})])
def test_a_sum_that_is_no_number_takes_neither_count_nor_buckets_along(
    tenant: Tenant, broken: float, temporality: int, counts: dict[int, float]
) -> None:
    points = [
        {"at": at, "count": count, "sum": broken, "bucket_counts": [count, 0], "explicit_bounds": [0.1]}
        for at, count in ((0.5, 4), (1.5, 10))
    ]
    tenant.insert(METRICS, decode_metrics, metrics(counted(temporality, *points)))
    rows = health(tenant, "Requests, P50Ms")
    assert [(requests, p50) for _, requests, p50 in rows] == [(n, pytest.approx(50)) for n in counts.values()]


def test_a_cumulative_sum_that_is_no_number_has_no_known_growth(tenant: Tenant) -> None:
    points = [
        {"at": at, "count": 1, "sum": value} for at, value in ((0.5, 1.0), (1.5, float("nan")), (2.5, 5.0), (3.5, 7.0))
    ]
    tenant.insert(METRICS, decode_metrics, metrics(counted(CUMULATIVE, *points)))
    assert increases(tenant, "http.server.request.duration") == {1: None, 2: None, 3: 2}


@pytest.mark.parametrize("temporality", [DELTA, CUMULATIVE])
def test_a_point_without_a_value_is_no_reset_of_a_counter_and_no_level(tenant: Tenant, temporality: int) -> None:
    orders = total("orders", temporality, (0.5, 10), (1.5, 10), (2.5, 25), start=-60)
    orders.sum.data_points.add(start_time_unix_nano=NOW - 60 * MINUTE, time_unix_nano=int(NOW + 1.7 * MINUTE))
    level = m.Metric(name="disk.free")
    for at, value in ((0.2, 8.0), (0.4, 6.0)):
        level.gauge.data_points.add(time_unix_nano=int(NOW + at * MINUTE), as_double=value)
    level.gauge.data_points.add(time_unix_nano=int(NOW + 0.6 * MINUTE))
    tenant.insert(METRICS, decode_metrics, metrics(orders, level))
    assert increases(tenant, "orders") == ({0: 10, 1: 10, 2: 25} if temporality == DELTA else {1: 0, 2: 15})
    assert tenant.query("SELECT count() FROM metrics_timeseries WHERE MINE AND Value = 0") == [(0,)]
    levels = tenant.query("SELECT sum(ValueSum), sum(ValueCount), min(ValueMin) FROM gauges_1m WHERE MINE")
    assert levels == [(14.0, 2, 6.0)]


@pytest.mark.parametrize(("unit", "scale"), [("s", 1000), ("ms", 1), ("us", 0.001)])
def test_quantiles_are_those_of_the_interpolated_buckets(tenant: Tenant, unit: str, scale: float) -> None:
    # 40 up to 0.1, 40 up to 0.5, 20 up to 1: the 50th is a quarter into the second, the 95th three quarters into the
    # third, the 99th 19 twentieths.
    measured = histogram("rpc.server.duration", DELTA, [(0.5, [40, 40, 20, 0], {}), (0.6, [0, 0, 0, 0], {})], unit)
    tenant.insert(METRICS, decode_metrics, metrics(measured))
    ((_, p50, p95, p99),) = health(tenant, "P50Ms, P95Ms, P99Ms")
    assert [p50, p95, p99] == pytest.approx([0.2 * scale, 0.875 * scale, 0.975 * scale])


def test_exponential_histograms_of_changing_scale_stay_comparable(tenant: Tenant) -> None:
    def point(at: float, scale: int, offset: int, counts: list[int]) -> m.Metric:
        made = m.ExponentialHistogramDataPoint(
            start_time_unix_nano=NOW - 60 * MINUTE, time_unix_nano=int(NOW + at * MINUTE), count=sum(counts), sum=1,
            scale=scale, positive=m.ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts),
        )  # fmt: skip
        data = m.ExponentialHistogram(aggregation_temporality=CUMULATIVE, data_points=[made])  # type: ignore[arg-type]
        return m.Metric(name="http.server.request.duration", unit="s", exponential_histogram=data)

    # 100 measurements of 0.3 s: ceil(log2(0.3) * 2**scale) - 1 is their bucket at a scale.
    tenant.insert(
        METRICS, decode_metrics, metrics(point(0.5, 5, -56, [100])), metrics(point(1.5, 4, -28, [150])),
        metrics(point(2.5, 3, -14, [250])),
    )  # fmt: skip
    rows = health(tenant, "Requests, P95Ms")
    assert [requests for _, requests, _ in rows] == [50, 100]
    assert all(p95 == pytest.approx(300, rel=0.09) for _, _, p95 in rows)


def test_spans_come_before_metrics(tenant: Tenant) -> None:
    answered = span(new_trace(), 1, kind=2, ms=40, error=True)
    answered.start_time_unix_nano = NOW + MINUTE // 2
    answered.end_time_unix_nano = answered.start_time_unix_nano + 40_000_000
    tenant.insert(SPANS, decode_spans, spans(answered))
    measured = histogram("http.server.request.duration", DELTA, [(0.5, [9, 0, 0, 0], {}), (1.5, [5, 0, 0, 0], {})])
    tenant.insert(METRICS, decode_metrics, metrics(measured))
    rows = health(tenant)
    assert [row[:4] for row in rows] == [("cart", "spans", 1, 1), ("cart", "metrics", 5, 0)]
    assert rows[0][5] == pytest.approx(40, rel=0.01)


def test_one_tenants_metrics_are_not_anothers(tenant: Tenant, clickhouse: ClickHouse) -> None:
    tenant.insert(METRICS, decode_metrics, metrics(total("orders", DELTA, (0.5, 3))))
    assert increases(Tenant(clickhouse), "orders") == {}
