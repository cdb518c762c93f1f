"""clickhouse-connect against the gateway: what Superset, dbt and many notebooks stand on. HTTP, blocks of Native."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from clickhouse_connect.driver.external import ExternalData

from tests.integration.clickhouse_gateway.world import Gateway

COLUMNS = ["id", "name", "attributes", "tags", "at", "ratio"]
TABLE = """CREATE TABLE t (
    id UInt64, name LowCardinality(String), attributes Map(LowCardinality(String), String), tags Array(String),
    at DateTime64(6, 'UTC'), ratio Nullable(Float64)
) ENGINE = MergeTree ORDER BY id"""


@pytest.fixture(params=["", "lz4", "zstd", "gzip"])
def connect(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client in a database of the test's own, with each compression."""
    options: dict[str, Any] = {"host": "127.0.0.1", "port": gateway.http_port, "compress": request.param or False}
    admin = clickhouse_connect.get_client(**options)
    admin.command("CREATE DATABASE test_connect")
    client = clickhouse_connect.get_client(**options, database="test_connect")
    yield client
    client.close()
    admin.command("DROP DATABASE test_connect SYNC")
    admin.close()


def test_a_query_with_parameters_settings_and_types(connect: Client) -> None:
    result = connect.query(
        "SELECT {n:UInt8} + 1 AS n, {s:String} AS s, map('k', 'v') AS m, toDateTime(3600, 'Asia/Tokyo') AS at",
        parameters={"n": 41, "s": "it's\ta tab"}, settings={"max_threads": 2},
    )  # fmt: skip
    assert result.column_names == ("n", "s", "m", "at")
    ((number, text, mapped, at),) = result.result_rows
    assert (number, text, mapped) == (42, "it's\ta tab", {"k": "v"})
    assert at.astimezone(dt.UTC) == dt.datetime(1970, 1, 1, 1, tzinfo=dt.UTC)
    assert connect.query("SELECT 1 WHERE 0").result_rows == []
    assert connect.command("SELECT version()") == connect.server_version


def test_a_large_result_streams(connect: Client) -> None:
    with connect.query_rows_stream("SELECT number, toString(number) FROM numbers(300000)") as rows:
        assert sum(1 for at, row in enumerate(rows) if tuple(row) == (at, str(at))) == 300_000


def test_an_insert(connect: Client) -> None:
    connect.command(TABLE)
    at = dt.datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=dt.UTC)
    rows = [[n, f"n{n % 3}", {"a": str(n % 7), "": ""}, ["x", "y"], at, 0.5 if n % 2 else None] for n in range(5000)]
    assert connect.insert("t", rows, column_names=COLUMNS).written_rows == 5000
    sums = "SELECT count(), uniqExact(attributes['a']), countIf(ratio = 0.5), min(at) FROM t"
    ((count, kinds, halves, first),) = connect.query(sums).result_rows
    assert (count, kinds, halves, first.replace(tzinfo=dt.UTC)) == (5000, 7, 2500, at)
    assert connect.raw_insert("t", ["id"], b"9000\n9001\n", fmt="CSV").written_rows == 2
    assert connect.raw_query("SELECT max(id) FROM t", fmt="CSV") == b"9001\n"


def test_a_cancelled_query_ends_on_the_server(gateway: Gateway, connect: Client) -> None:
    slow = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10"
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sleepEachRow%' AND query NOT LIKE '%system%'"
    failures: list[BaseException] = []

    def ask() -> None:
        own = clickhouse_connect.get_client(host="127.0.0.1", port=gateway.http_port, autogenerate_session_id=False)
        try:
            own.query(slow, settings={"query_id": "to-be-killed"})
        except ClickHouseError as exc:
            failures.append(exc)
        finally:
            own.close()

    asking = threading.Thread(target=ask)
    asking.start()
    _until(lambda: connect.command(running) == 1)
    connect.command("KILL QUERY WHERE query_id = 'to-be-killed' SYNC")
    asking.join(20)
    assert [type(failure) for failure in failures] == [DatabaseError]
    assert "394" in str(failures[0])
    _until(lambda: connect.command(running) == 0)


@pytest.mark.parametrize(
    ("sql", "code"), [("SELECT * FROM none", 60), ("SELEC 1", 62), ("SELECT throwIf(number = 9) FROM numbers(10)", 395)]
)
def test_an_error_has_its_code(connect: Client, sql: str, code: int) -> None:
    with pytest.raises(DatabaseError, match=f"{code}"):
        connect.query(sql)
    with pytest.raises(DatabaseError, match="60"):
        connect.insert("none", [[1]], column_names=["a"], column_type_names=["UInt8"])
    assert connect.command("SELECT 1") == 1


def test_a_late_error_is_not_taken_for_the_end(connect: Client) -> None:
    sql = "SELECT throwIf(number = 900000) FROM numbers(1000000) SETTINGS max_block_size = 10000"
    result = connect.query(sql)
    with pytest.raises(ClickHouseError, match="Code: 395"):
        assert result.result_rows


def test_a_table_can_come_with_the_query(connect: Client) -> None:
    table = ExternalData(file_name="ext.csv", data=b"1,one\n2,two\n", fmt="CSV", structure="n UInt8, s String")
    sql = "SELECT number, s FROM numbers(3) AS l JOIN ext AS r ON l.number = r.n ORDER BY n"
    assert connect.query(sql, external_data=table).result_rows == [(1, "one"), (2, "two")]


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
