"""Every type our schema uses and every type clickhouse-driver documents, there and back, by both protocols."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import httpx
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException, UnknownTypeError

UTC = dt.UTC
MAX_128, MAX_256 = 2**127 - 1, 2**255 - 1
ID = uuid.UUID("4bf92f35-77b3-4da6-a3ce-929d0e0e4736")

SCALARS: list[tuple[str, list[Any]]] = [
    *((f"UInt{bits}", [0, 1, 2**bits - 1]) for bits in (8, 16, 32, 64, 128, 256)),
    *((f"Int{bits}", [-(2 ** (bits - 1)), -1, 0, 2 ** (bits - 1) - 1]) for bits in (8, 16, 32, 64, 128, 256)),
    ("Float32", [0.0, 1.5, -2.25]),
    ("Float64", [0.0, 1e300, -1e-300]),
    ("Bool", [True, False]),
    ("String", ["", "x", "łódź", "a\nb\tc'\\", "n" * 200_000]),
    ("FixedString(5)", ["abcde", "12345"]),
    ("UUID", [ID, uuid.UUID(int=0)]),
    ("Date", [dt.date(1970, 1, 1), dt.date(2149, 6, 6)]),
    ("Date32", [dt.date(1900, 1, 1), dt.date(2299, 12, 31)]),
    ("DateTime('UTC')", [dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC)]),
    ("DateTime", [dt.datetime(2026, 5, 1, 12, 0, 0)]),  # noqa: DTZ001 -- the driver returns it without a zone
    ("DateTime64(3, 'Europe/Berlin')", [dt.datetime(2026, 5, 1, 10, 0, 0, 123000, tzinfo=UTC)]),
    ("DateTime64(9)", [dt.datetime(2026, 5, 1, 12, 0, 0, 123456)]),  # noqa: DTZ001 -- as above
    ("Enum8('a' = -1, 'b, (c)' = 2)", ["a", "b, (c)"]),
    ("Enum16('x' = 1000, 'y''z' = -5)", ["x", "y'z"]),
    ("Decimal(9, 2)", [Decimal("1234567.89"), Decimal("-0.01")]),
    ("Decimal(18, 4)", [Decimal("12345678901234.5678")]),
    ("Decimal(38, 10)", [Decimal("1234567890123456789.0123456789")]),
    ("Decimal(76, 20)", [Decimal("-123456789012345678901234567890.12345678901234567890")]),
    ("IPv4", [IPv4Address("0.0.0.0"), IPv4Address("255.1.2.3")]),  # noqa: S104
    ("IPv6", [IPv6Address("::"), IPv6Address("2001:db8::1")]),
    ("LowCardinality(String)", ["", "a", "b", "a"]),
    ("LowCardinality(FixedString(2))", ["ab", "cd", "ab"]),
    ("LowCardinality(Nullable(String))", [None, "a", "a", None]),
    ("Nullable(String)", [None, "x"]),
    ("Nullable(UInt64)", [None, 7]),
    ("Nullable(DateTime64(6, 'UTC'))", [None, dt.datetime(2026, 1, 1, tzinfo=UTC)]),
    ("SimpleAggregateFunction(sum, UInt64)", [1, 2]),
    ("SimpleAggregateFunction(groupArrayArray, Array(String))", [["a"], []]),
]
COMPOUNDS: list[tuple[str, list[Any]]] = [
    ("Array(String)", [[], ["a", ""], ["b" * 300]]),
    ("Array(UInt64)", [[], [1, 2, 3]]),
    ("Array(Float64)", [[0.5], []]),
    ("Array(Nullable(Int32))", [[None, 1], []]),
    ("Array(LowCardinality(String))", [["a", "b", "a"], [], ["c"]]),
    ("Array(Array(Array(UInt8)))", [[[[1], []], []], []]),
    ("Array(Map(LowCardinality(String), String))", [[{"a": "1"}, {}], [], [{"b": "2", "c": ""}]]),
    ("Array(Tuple(String, Nullable(Float64)))", [[("a", None), ("b", 0.5)], []]),
    ("Map(LowCardinality(String), String)", [{}, {"http.route": "/a", "k": ""}, {"k": "v"}]),
    ("Map(String, Array(UInt64))", [{"a": [1, 2]}, {}]),
    ("Map(UInt8, Array(LowCardinality(String)))", [{1: ["b", "b"]}, {}]),
    ("Tuple(UInt8, String)", [(1, "a"), (2, "")]),
    (
        "Tuple(a UInt8, `b c` Nullable(String), d Tuple(e LowCardinality(String)))",
        [(1, None, ("x",)), (2, "y", ("z",))],
    ),
    ("Point", [(1.5, 2.5)]),
    ("Ring", [[(0.0, 0.0), (1.0, 1.0)], []]),
    ("Polygon", [[[(0.0, 0.0), (1.0, 1.0)]], []]),
    ("MultiPolygon", [[[[(0.0, 0.0), (1.0, 1.0)]]]]),
]
NATIVE_ONLY: list[tuple[str, list[Any]]] = [
    ("JSON", [{"a": 1, "b": {"c": "x"}}, {}, {"a": "s", "d": [1, 2]}]),
]


def str_of(value: Any) -> str:
    """Name a case by its type."""
    return value if isinstance(value, str) else ""


def _rows(values: list[Any]) -> list[list[Any]]:
    return [[at, value] for at, value in enumerate(values)]


@pytest.mark.parametrize(("kind", "values"), SCALARS + COMPOUNDS + NATIVE_ONLY, ids=str_of)
def test_a_type_survives_the_way_through_clickhouse_driver(client: Client, kind: str, values: list[Any]) -> None:
    client.execute(f"CREATE TABLE t (n UInt32, v {kind}) ENGINE = MergeTree ORDER BY n")
    assert client.execute("INSERT INTO t (n, v) VALUES", _rows(values)) == len(values)
    assert client.execute("SELECT v FROM t ORDER BY n") == [(value,) for value in values]


@pytest.mark.parametrize(("kind", "values"), SCALARS + COMPOUNDS, ids=str_of)
@pytest.mark.parametrize("output", ["Native", "RowBinary", "JSONEachRow", "TabSeparated", "CSV"])
def test_a_type_survives_the_way_through_http(
    client: Client, http: httpx.Client, kind: str, values: list[Any], output: str
) -> None:
    client.execute(f"CREATE TABLE t (n UInt32, v {kind}) ENGINE = MergeTree ORDER BY n")
    client.execute("INSERT INTO t (n, v) VALUES", _rows(values))
    sent = http.post("/", content=f"SELECT n, v FROM test_native.t ORDER BY n FORMAT {output}").content
    http.post("/", content=f"CREATE TABLE copy (n UInt32, v {kind}) ENGINE = MergeTree ORDER BY n").raise_for_status()
    stored = http.post("/", params={"query": f"INSERT INTO copy (n, v) FORMAT {output}"}, content=sent)
    assert stored.status_code == 200, stored.text
    assert client.execute("SELECT v FROM test_http.copy ORDER BY n") == [(value,) for value in values]


def test_nested_columns_survive_both_ways(client: Client, http: httpx.Client) -> None:
    columns = (
        "Events Nested (Name LowCardinality(String), Attributes Map(LowCardinality(String), String), At DateTime64(9))"
    )
    client.execute(f"CREATE TABLE t (n UInt32, {columns}) ENGINE = MergeTree ORDER BY n")
    at = dt.datetime(2026, 5, 1, 12, 0, 0)  # noqa: DTZ001 -- the driver returns it without a zone
    rows = [(1, ["a", "b"], [{"k": "v"}, {}], [at, at]), (2, [], [], [])]
    client.execute("INSERT INTO t (n, Events.Name, Events.Attributes, Events.At) VALUES", rows)
    assert client.execute("SELECT * FROM t ORDER BY n") == rows
    text = http.post("/", content="SELECT * FROM test_native.t ORDER BY n FORMAT JSONEachRow").text
    assert '"Events.Name":["a","b"]' in text


def test_nested_columns_that_are_not_flattened_survive(client: Client) -> None:
    client.execute("SET flatten_nested = 0")
    client.execute(
        "CREATE TABLE t (n UInt32, e Nested (a String, b LowCardinality(String))) ENGINE = MergeTree ORDER BY n"
    )
    client.execute("INSERT INTO t (n, e) VALUES", [(1, [("x", "y"), ("z", "y")]), (2, [])])
    assert client.execute("SELECT * FROM t ORDER BY n") == [(1, [("x", "y"), ("z", "y")]), (2, [])]


def test_aggregate_states_are_kept_and_merged(client: Client) -> None:
    columns = "k String, calls AggregateFunction(count), lat AggregateFunction(quantilesDD(0.01, 0.5), Float64)"
    total = "total SimpleAggregateFunction(sum, UInt64)"
    client.execute(f"CREATE TABLE t ({columns}, {total}) ENGINE = AggregatingMergeTree ORDER BY k")
    for _ in range(2):
        client.execute("INSERT INTO t SELECT 'a', countState(), quantilesDDState(0.01, 0.5)(100.), 5 FROM numbers(3)")
    ((calls, (median,), total),) = client.execute(
        "SELECT countMerge(calls), quantilesDDMerge(0.01, 0.5)(lat), sum(total) FROM t"
    )
    assert (calls, total) == (6, 10)
    assert abs(median - 100) < 1.5


def test_infinities_survive_the_native_protocol(client: Client) -> None:
    client.execute("CREATE TABLE t (v Float64) ENGINE = MergeTree ORDER BY tuple()")
    client.execute("INSERT INTO t (v) VALUES", [[float("inf")], [float("-inf")]])
    assert client.execute("SELECT v FROM t ORDER BY v") == [(float("-inf"),), (float("inf"),)]


def test_a_time_zone_of_a_column_survives_next_to_other_columns(client: Client) -> None:
    client.execute("CREATE TABLE t (a String, b DateTime('Asia/Tokyo'), c DateTime) ENGINE = MergeTree ORDER BY a")
    client.execute("INSERT INTO t VALUES", [(name, 3600, 3600) for name in ("x", "y" * 300)])
    rows, columns = client.execute("SELECT * FROM t ORDER BY a", with_column_types=True)
    assert columns == [("a", "String"), ("b", "DateTime('Asia/Tokyo')"), ("c", "DateTime")]
    assert [row[1].timestamp() for row in rows] == [3600, 3600]
    assert rows[0][1].utcoffset() == dt.timedelta(hours=9)


def test_interval_null_and_nothing_can_be_read(client: Client) -> None:
    assert client.execute("SELECT INTERVAL 3 DAY, NULL, [], toTypeName([])") == [(3, None, [], "Array(Nothing)")]


def test_a_plain_string_column_is_taken_for_low_cardinality_over_http(client: Client, http: httpx.Client) -> None:
    client.execute(
        "CREATE TABLE t (s LowCardinality(String), m Map(LowCardinality(String), String), n UInt64)"
        " ENGINE = MergeTree ORDER BY s"
    )
    made = "SELECT 'svc' AS s, map('k', 'v')::Map(String, String) AS m, 7::UInt8 AS n FORMAT Native"
    body = http.post("/", content=made).content
    params = {
        "query": "INSERT INTO test_native.t (s, m, n) FORMAT Native",
        "input_format_native_allow_types_conversion": "1",
    }
    assert http.post("/", params=params, content=body).status_code == 200
    assert client.execute("SELECT s, m, n FROM t") == [("svc", {"k": "v"}, 7)]


def test_an_aggregate_state_sent_by_the_native_protocol_is_refused_clearly(client: Client, http: httpx.Client) -> None:
    client.execute("CREATE TABLE t (s AggregateFunction(count)) ENGINE = MergeTree ORDER BY tuple()")
    assert client.execute("SELECT count() FROM t") == [(0,)]
    body = http.post("/", content="SELECT countState() AS s FROM numbers(4) FORMAT Native").content
    params = {"query": "INSERT INTO test_native.t (s) FORMAT Native"}
    assert http.post("/", params=params, content=body).status_code == 200
    assert client.execute("SELECT countMerge(s) FROM t") == [(4,)]


def test_aggregate_states_are_read_alone_or_last_and_refused_clearly_else(client: Client) -> None:
    state = "countState() AS s"
    for columns in (state, f"1 AS one, {state}"):
        with pytest.raises(UnknownTypeError):  # it came, and the driver does not know it
            client.execute(f"SELECT {columns} FROM numbers(3)")
        client.disconnect()
    with pytest.raises(ServerException, match="are sent alone, or last") as failed:
        client.execute(f"SELECT {state}, 1 AS one FROM numbers(3)")
    assert failed.value.code == 48
    assert client.execute("SELECT 1") == [(1,)]
