"""What clickhouse-driver expects of a server: results, inserts, settings, errors, cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from tests.integration.clickhouse_gateway.world import Gateway


def test_a_server_introduces_itself(client: Client) -> None:
    (version,) = client.execute("SELECT version()")[0]
    info = client.connection.server_info
    assert info.name == "ClickHouse"
    assert version.startswith(f"{info.version_major}.{info.version_minor}.")


def test_columns_are_named_with_and_without_rows(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt64, b LowCardinality(String)) ENGINE = MergeTree ORDER BY a")
    columns = [("a", "UInt64"), ("b", "LowCardinality(String)")]
    assert client.execute("SELECT * FROM t", with_column_types=True) == ([], columns)
    client.execute("INSERT INTO t VALUES", [(1, "x")])
    assert client.execute("SELECT * FROM t", with_column_types=True) == ([(1, "x")], columns)
    assert client.execute("SHOW TABLES LIKE 'none'", with_column_types=True) == ([], [("name", "String")])


def test_what_tools_ask_first_is_answered(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.execute("INSERT INTO t VALUES", [(1,)])
    assert client.execute("SHOW TABLES") == [("t",)]
    assert client.execute("SELECT name, total_rows FROM system.tables WHERE database = currentDatabase()") == [("t", 1)]
    parts = "SELECT sum(rows) FROM system.parts WHERE database = currentDatabase() AND active"
    assert client.execute(parts) == [(1,)]
    assert client.execute("EXISTS t") == [(1,)]
    assert client.execute("DESCRIBE t")[0][:2] == ("a", "UInt64")
    assert len(client.execute("SELECT * FROM system.columns WHERE database = 'system'")) > 1000
    assert len(client.execute("SHOW FUNCTIONS")) > 1000


def test_a_large_result_is_streamed_whole(client: Client) -> None:
    rows: Iterator[tuple[int, str]] = client.execute_iter(
        "SELECT number, toString(number) FROM numbers(300000)", {}, settings={"max_block_size": 7000}
    )
    assert sum(1 for at, row in enumerate(rows) if row == (at, str(at))) == 300_000
    assert client.last_query.progress.rows == 300_000
    assert client.last_query.profile_info.rows == 300_000


def test_values_are_substituted_and_parameters_are_passed(client: Client) -> None:
    assert client.execute("SELECT %(a)s, %(b)s", {"a": "it's \\ \n", "b": [1, 2]}) == [("it's \\ \n", [1, 2])]
    assert client.execute("SELECT {x:UInt8} + 1", settings={"param_x": "41"}) == [(42,)]


def test_an_insert_may_come_as_rows_as_text_or_from_a_query(client: Client) -> None:
    columns = "a UInt64, b String DEFAULT concat('b', toString(a)), c String ALIAS b, d UInt8 MATERIALIZED 1"
    client.execute(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY a")
    assert client.execute("INSERT INTO t VALUES", [(1, "x")]) == 1
    assert client.execute("INSERT INTO t (a) VALUES", [{"a": 2}]) == 1
    assert client.execute("INSERT INTO `t` (`b`, a) FORMAT Native", [("y", 3)]) == 1
    client.execute("INSERT INTO t (a, b) VALUES (4, 'VALUES ('), (5, concat('u', 'v'))")
    client.execute("INSERT INTO t (a) FORMAT CSV 6\n7\n")
    client.execute("INSERT INTO t (a) SELECT number FROM numbers(8, 2)")
    client.execute("INSERT INTO t SETTINGS max_insert_threads = 1 VALUES", [(10, "z")])
    client.execute("INSERT INTO t (* EXCEPT(b)) VALUES", [[11]])
    assert client.execute("INSERT INTO t (a) VALUES", []) == 0
    assert client.execute("SELECT a, b FROM t ORDER BY a") == [
        (1, "x"), (2, "b2"), (3, "y"), (4, "VALUES ("), (5, "uv"), (6, "b6"), (7, "b7"), (8, "b8"), (9, "b9"),
        (10, "z"), (11, "b11"),
    ]  # fmt: skip


def test_an_insert_may_take_its_rows_through_input(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.execute("INSERT INTO t (a) SELECT x * y FROM input('x UInt64, y UInt64') FORMAT Native", [(2, 3), (4, 5)])
    assert client.execute("SELECT a FROM t ORDER BY a") == [(6,), (20,)]


def test_a_generator_of_many_blocks_is_one_insert(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt64, b Array(String)) ENGINE = MergeTree ORDER BY a")
    rows = ((at, ["x"] * (at % 4)) for at in range(50_000))
    assert client.execute("INSERT INTO t VALUES", rows, settings={"insert_block_size": 5_000}) == 50_000
    assert client.execute("SELECT count(), sum(length(b)), max(a) FROM t") == [(50_000, 75_000, 49_999)]


def test_numpy_and_columnar_results_work(client: Client) -> None:
    assert client.execute("SELECT number, 'x' FROM numbers(3)", columnar=True) == [(0, 1, 2), ("x", "x", "x")]


def test_external_tables_can_be_joined_and_are_gone_afterwards(client: Client) -> None:
    table = {
        "name": "ext",
        "structure": [("n", "UInt64"), ("s", "LowCardinality(String)")],
        "data": [{"n": 1, "s": "one"}],
    }
    query = "SELECT number, s FROM numbers(3) AS l INNER JOIN ext AS r ON l.number = r.n"
    assert client.execute(query, external_tables=[table]) == [(1, "one")]
    with pytest.raises(ServerException) as failed:
        client.execute(query)
    assert failed.value.code == 60


def test_temporary_tables_and_use_and_set_last_for_the_connection_only(gateway: Gateway, client: Client) -> None:
    client.execute("CREATE TEMPORARY TABLE tmp (a UInt8)")
    client.execute("INSERT INTO tmp VALUES", [(1,)])
    client.execute("SET max_block_size = 123")
    assert client.execute("SELECT a, currentDatabase(), getSetting('max_block_size') FROM tmp") == [
        (1, "test_native", 123)
    ]
    other = gateway.client()
    assert other.execute("SELECT currentDatabase(), getSetting('max_block_size') != 123") == [("default", True)]
    with pytest.raises(ServerException, match="tmp"):
        other.execute("SELECT * FROM tmp")
    assert gateway.client(database="test_native").execute("SELECT currentDatabase()") == [("test_native",)]


def test_settings_of_a_query_end_with_it(client: Client) -> None:
    read = "SELECT getSetting('max_threads'), getSetting('max_block_size')"
    before = client.execute(read)
    client.execute("SET max_block_size = 1000")
    assert client.execute(read, settings={"max_threads": 7, "max_block_size": 55}) == [(7, 55)]
    assert client.execute(read) == [(before[0][0], 1000)]
    assert client.execute(read, settings={"readonly": 1, "max_threads": 3})[0][0] == 3
    assert client.execute(read) == [(before[0][0], 1000)]
    assert client.execute(read, settings={"max_threads": 5}) == [(5, 1000)]


def test_an_unknown_setting_is_ignored_unless_it_is_marked_important(gateway: Gateway, client: Client) -> None:
    assert client.execute("SELECT getSetting('max_threads')", settings={"no_such": 1, "max_threads": 3}) == [(3,)]
    with pytest.raises(ServerException) as failed:
        gateway.client(settings_is_important=True).execute("SELECT 1", settings={"no_such": 1})
    assert failed.value.code == 115


@pytest.mark.parametrize("compression", ["lz4", "lz4hc", "zstd"])
def test_compressed_connections_work_both_ways(gateway: Gateway, client: Client, compression: str) -> None:
    client.execute("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a")
    packed = gateway.client(compression=compression, database="test_native")
    rows = [(at, "text " * (at % 50)) for at in range(20_000)]
    assert packed.execute("INSERT INTO t VALUES", rows) == 20_000
    assert packed.execute("SELECT * FROM t ORDER BY a") == rows
    packed.disconnect()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT * FROM none", 60),
        ("SELEC 1", 62),
        ("SELECT 1; SELECT 2", 62),
        ("", 62),
        ("-- nothing", 62),
        ("garbage", 62),
        ("SELECT none", 47),
        ("SELECT nofunction(1)", 46),
        ("USE none", 81),
        ("SELECT * FROM none.t", 81),
        ("SELECT throwIf(number = 100000) FROM numbers(200000)", 395),
        ("SELECT toDate('x')", 38),
        ("SELECT {x:UInt8}", 456),
        ("INSERT INTO none VALUES", 60),
        ("INSERT INTO", 62),
        ("INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV", 48),
        ("SELECT 1 INTO OUTFILE '/tmp/none'", 358),
        ("CREATE TABLE x (a Nope) ENGINE = Memory", 50),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", 159),
        ("SELECT groupArray(number) FROM numbers(100000000) SETTINGS max_memory_usage = 10000000", 241),
    ],
)
def test_an_error_carries_clickhouse_s_code_and_the_connection_goes_on(client: Client, query: str, code: int) -> None:
    with pytest.raises(ServerException) as failed:
        client.execute(query, [] if query.startswith("INSERT INTO none") else None)
    assert failed.value.code == code, failed.value
    assert client.execute("SELECT 1") == [(1,)]


def test_an_unknown_database_in_the_hello_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ServerException) as failed:
        gateway.client(database="none").execute("SELECT 1")
    assert failed.value.code == 81


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("(a UInt64, CONSTRAINT small CHECK a < 5) ENGINE = MergeTree ORDER BY a", 469),
        ("(a UInt64) ENGINE = MergeTree PARTITION BY a ORDER BY a", 252),
        ("(a UInt64, b UInt64 DEFAULT throwIf(a = 7)) ENGINE = MergeTree ORDER BY a", 395),
    ],
)
def test_an_insert_that_fails_inside_the_engine_is_never_reported_as_done(
    client: Client, table: str, code: int
) -> None:
    client.execute(f"CREATE TABLE t {table}")
    with pytest.raises(ServerException) as failed:
        client.execute("INSERT INTO t (a) VALUES", [(at,) for at in range(200)])
    assert failed.value.code == code
    assert client.execute("SELECT count() FROM t") == [(0,)]


def test_too_many_parts_and_a_failing_view_reach_the_driver(client: Client) -> None:
    limits = "parts_to_delay_insert = 1000, parts_to_throw_insert = 2"
    client.execute(f"CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS {limits}")
    client.execute("SYSTEM STOP MERGES t")
    for at in range(2):
        client.execute("INSERT INTO t VALUES", [(at,)])
    with pytest.raises(ServerException) as failed:
        client.execute("INSERT INTO t VALUES", [(9,)])
    assert failed.value.code == 252
    client.execute("CREATE TABLE source (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.execute("CREATE MATERIALIZED VIEW v TO t AS SELECT a FROM source")
    with pytest.raises(ServerException) as failed:
        client.execute("INSERT INTO source VALUES", [(9,)])
    assert failed.value.code == 252


def test_a_cancelled_query_stops_and_the_connection_goes_on(client: Client) -> None:
    progress = client.execute_with_progress(
        "SELECT sum(sleepEachRow(0.01)) FROM numbers(3000) SETTINGS max_block_size = 10"
    )
    began = time.monotonic()
    threading.Timer(0.3, client.connection.send_cancel).start()
    assert progress.get_result() == []
    assert time.monotonic() - began < 10
    assert client.execute("SELECT 1") == [(1,)]


def test_a_query_is_killed_by_the_id_its_client_gave_it(gateway: Gateway, client: Client) -> None:
    slow = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10"
    own = gateway.client()
    assert own.execute("SELECT 1", query_id="another") == [(1,)]
    failures: list[ServerException] = []

    def ask() -> None:
        with pytest.raises(ServerException) as failed:
            own.execute(slow, query_id="it's mine", settings={"max_threads": 2})
        failures.append(failed.value)

    asking = threading.Thread(target=ask)
    asking.start()
    _wait(lambda: client.execute("KILL QUERY WHERE query_id = 'it\\'s mine' SYNC") != [])
    asking.join(20)
    assert [failure.code for failure in failures] == [394]
    assert own.execute("SELECT 1") == [(1,)]


def test_a_query_ends_when_its_client_leaves(gateway: Gateway, client: Client) -> None:
    leaver = gateway.client()
    marked = "SELECT sum(sleepEachRow(0.01)) FROM numbers(20000) SETTINGS max_block_size = 10"
    leaver.connection.force_connect()
    leaver.connection.send_query(marked)
    leaver.connection.send_external_tables([])
    running = f"SELECT count() FROM system.processes WHERE query LIKE '{marked[:40]}%'"
    _wait(lambda: client.execute(running) == [(1,)])
    leaver.disconnect()
    _wait(lambda: client.execute(running) == [(0,)])


def test_sixteen_clients_work_at_once_and_a_slow_query_blocks_nobody(gateway: Gateway, client: Client) -> None:
    client.execute("CREATE TABLE t (w UInt64, n UInt64, s String) ENGINE = MergeTree ORDER BY (w, n)")
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        own = gateway.client(database="test_native")
        try:
            for turn in range(5):
                own.execute("INSERT INTO t VALUES", [(worker, turn * 100 + at, f"s{worker}") for at in range(100)])
                found = own.execute("SELECT count(), uniqExact(n), any(s) FROM t WHERE w = %(w)s", {"w": worker})
                assert found == [((turn + 1) * 100, (turn + 1) * 100, f"s{worker}")]
        except BaseException as exc:
            failures.append(exc)
        finally:
            own.disconnect()

    slow = [threading.Thread(target=lambda: gateway.client().execute("SELECT sleep(2)")) for _ in range(16)]
    workers = [threading.Thread(target=work, args=(at,)) for at in range(16)]
    for thread in [*slow, *workers]:
        thread.start()
    time.sleep(0.2)
    pings = []
    for _ in range(5):
        began = time.monotonic()
        assert client.execute("SELECT 1") == [(1,)]
        pings.append(time.monotonic() - began)
    for thread in [*slow, *workers]:
        thread.join(60)
    assert not failures
    assert min(pings) < 1
    assert client.execute("SELECT count() FROM t") == [(16 * 500,)]


def _wait(condition: object) -> None:
    deadline = time.monotonic() + 10
    assert callable(condition)
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
