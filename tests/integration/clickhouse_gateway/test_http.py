"""ClickHouse's HTTP interface: statements, data, formats, headers, sessions, errors."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import threading
import time
import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import httpx
import pytest
import zstandard
from clickhouse_driver import Client

from tests.integration.clickhouse_gateway.world import Gateway

LZ4: Any = import_module("lz4.frame")
INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"
TABLE = "CREATE TABLE t (a UInt64, b String DEFAULT 'd') ENGINE = MergeTree ORDER BY a"


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": LZ4.compress,
}


def _count(http: httpx.Client) -> int:
    return int(http.post("/", content="SELECT count() FROM t").text)


def test_health_and_unknown_paths(http: httpx.Client) -> None:
    assert http.get("/ping").text == "Ok.\n"
    assert http.get("/").text == "Ok.\n"
    assert http.get("/replicas_status").status_code == 200
    assert http.get("/nowhere").status_code == 404


def test_a_statement_may_stand_in_the_url_in_the_body_or_in_both(http: httpx.Client) -> None:
    assert http.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert http.post("/", content="SELECT 2").text == "2\n"
    assert http.post("/", params={"query": "SELECT 3,"}, content="4").text == "3\t4\n"
    assert http.post("/", content="SELECT 5 -- and a comment").text == "5\n"


def test_formats_are_chosen_by_the_query_the_url_or_a_header(http: httpx.Client) -> None:
    answer = http.post("/", content="SELECT 1 AS x FORMAT JSONEachRow")
    assert answer.text == '{"x":1}\n'
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    answer = http.post("/", params={"default_format": "JSON"}, content="SELECT 1 AS x")
    assert json.loads(answer.text)["data"] == [{"x": 1}]
    assert answer.headers["Content-Type"].startswith("application/json")
    assert http.post("/", headers={"X-ClickHouse-Format": "CSV"}, content="SELECT 'a'").text == '"a"\n'
    assert http.post("/", content="SHOW TABLES FORMAT JSON").status_code == 200
    assert http.post("/", content="SELECT 1 FORMAT Nope").status_code == 404


@pytest.mark.parametrize(
    "output", ["JSON", "CSVWithNames", "TabSeparated", "Native", "Parquet", "JSONCompact", "Values"]
)
def test_a_large_result_is_one_document_in_any_format(http: httpx.Client, output: str) -> None:
    http.post("/", content="CREATE TABLE copy (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
    made = http.post("/", content=f"SELECT number AS n, toString(n) AS s FROM numbers(200000) FORMAT {output}").content
    assert http.post("/", params={"query": f"INSERT INTO copy FORMAT {output}"}, content=made).text == ""
    assert (
        http.post("/", content="SELECT count(), sum(n), uniqExact(s) FROM copy").text == "200000\t19999900000\t200000\n"
    )


def test_parameters_settings_and_database_come_by_url_and_headers(http: httpx.Client) -> None:
    params = {"query": "SELECT {s:String}, {l:Array(UInt8)}", "param_s": "it's", "param_l": "[1,2]"}
    assert http.get("/", params=params).text == "it\\'s\t[1,2]\n"
    assert http.get("/", params={"query": "SELECT getSetting('max_threads')", "max_threads": "3"}).text == "3\n"
    assert http.get("/", params={"query": "SELECT getSetting('max_threads') = 3"}).text == "0\n"
    assert http.get("/", params={"query": "SELECT currentDatabase()"}).text == "test_http\n"
    headers = {"X-ClickHouse-Database": "system"}
    assert (
        http.get("/", params={"query": "SELECT currentDatabase()", "database": ""}, headers=headers).text == "system\n"
    )


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("INSERT INTO t VALUES (1, 'x'), (2, concat('y', 'z'))", "1\tx\n2\tyz\n"),
        ("INSERT INTO t (a) VALUES (1)", "1\td\n"),
        ('INSERT INTO t FORMAT JSONEachRow\n{"a": 1, "b": "p"}\n\n{"a": 2}\n', "1\tp\n2\td\n"),
        ('INSERT INTO t FORMAT CSV\n1,"a;\nb"\n', "1\ta;\\nb\n"),
        ("INSERT INTO t (b, a) FORMAT TSV\nx\t1\n\t2\n", "1\tx\n2\t\n"),
        ("insert into t select 1, 'q'", "1\tq\n"),
        ("INSERT INTO t SETTINGS max_insert_threads = 1 FORMAT CSV 1,z", "1\tz\n"),
        ("INSERT INTO t SELECT x + 1, y FROM input('x UInt8, y String') FORMAT CSV\n1,m\n", "2\tm\n"),
    ],
)
def test_an_insert_with_its_data_in_the_body(http: httpx.Client, sent: str, expected: str) -> None:
    http.post("/", content=TABLE)
    answer = http.post("/", content=sent)
    assert (answer.status_code, answer.text) == (200, "")
    assert http.post("/", content="SELECT * FROM t ORDER BY a").text == expected


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO t FORMAT CSV", "1,x\n2,y"),
        ("INSERT INTO t VALUES", "(1, 'x'), (2, 'y')"),
        ("INSERT INTO t (a, b) FORMAT JSONEachRow", '{"a":1,"b":"x"}{"a":2,"b":"y"}'),
        ("INSERT INTO t", "(1, 'x'), (2, 'y')"),
        ("INSERT INTO t FORMAT CSV 1,x\n", "2,y"),
        ("INSERT INTO test_http.t (a, b) SELECT a, b FROM input('b String, a UInt64') FORMAT CSV", "x,1\ny,2"),
    ],
)
def test_an_insert_with_its_statement_in_the_url(http: httpx.Client, query: str, body: str) -> None:
    http.post("/", content=TABLE)
    answer = http.post("/", params={"query": query}, content=body)
    assert (answer.status_code, answer.text) == (200, "")
    summary = json.loads(answer.headers.get("X-ClickHouse-Summary", '{"written_rows": "2"}'))
    assert summary["written_rows"] == "2"
    assert http.post("/", content="SELECT * FROM t ORDER BY a").text == "1\tx\n2\ty\n"


def test_a_long_insert_statement_is_not_limited_by_its_values(http: httpx.Client) -> None:
    http.post("/", content=TABLE)
    values = ", ".join(f"({at}, '{'v' * 50}')" for at in range(40_000))
    assert http.post("/", content=f"INSERT INTO t VALUES {values}").text == ""
    rows = "\n".join(f"{at},w" for at in range(300_000))
    assert http.post("/", content=f"INSERT INTO t FORMAT CSV\n{rows}\n").text == ""
    assert _count(http) == 340_000
    assert http.post("/", content="SELECT 1" + " " * (2 << 20)).status_code == 413


@pytest.mark.parametrize("encoding", ENCODERS)
def test_an_encoded_body_is_decoded(http: httpx.Client, encoding: str) -> None:
    encode = ENCODERS[encoding]
    rows = "\n".join(str(at) for at in range(200_000)).encode()
    http.post("/", content=TABLE)
    params, headers = {"query": "INSERT INTO t (a) FORMAT TSV"}, {"Content-Encoding": encoding}
    assert http.post("/", params=params, headers=headers, content=encode(rows)).text == ""
    assert _count(http) == 200_000
    damaged = http.post("/", params=params, headers=headers, content=encode(rows)[:-20])
    assert damaged.status_code == 400
    assert http.post("/", params=params, headers=headers, content=b"not packed").status_code == 400
    assert _count(http) == 200_000


def test_an_unknown_encoding_is_refused(http: httpx.Client) -> None:
    assert http.post("/", headers={"Content-Encoding": "br"}, content="SELECT 1").status_code == 501


def test_a_result_is_packed_when_the_client_asks_for_it(http: httpx.Client) -> None:
    params = {"query": "SELECT number FROM numbers(100000)", "enable_http_compression": "1"}
    plain = http.get("/", params={"query": params["query"]}).content
    for encoding in ENCODERS:
        with http.stream("GET", "/", params=params, headers={"Accept-Encoding": encoding}) as answer:
            body = b"".join(answer.iter_raw())
        assert answer.headers["Content-Encoding"] == encoding
        assert len(body) < len(plain)
    assert "Content-Encoding" not in http.get("/", params={"query": "SELECT 1"}).headers


def test_compressed_frames_are_read_and_written(http: httpx.Client) -> None:
    http.post("/", content=TABLE)
    made = http.get("/", params={"query": "SELECT number FROM numbers(100000)", "compress": "1"}).content
    params = {"query": "INSERT INTO t (a) FORMAT TSV", "decompress": "1"}
    assert http.post("/", params=params, content=made).text == ""
    assert _count(http) == 100_000
    assert http.post("/", params=params, content=made[:-9]).status_code == 400
    assert http.post("/", params=params, content=made[:99] + b"x" + made[100:]).status_code == 400


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT * FROM none", 404, 60),
        ("SELEC 1", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT none", 404, 47),
        ("INSERT INTO none VALUES (1)", 404, 60),
        ("INSERT INTO none FORMAT CSV\n1", 404, 60),
        ("INSERT INTO t FORMAT CSV\nx,1", 400, 27),
        ("INSERT INTO t FORMAT Native\nnonsense", 400, 33),
        ("INSERT INTO t FORMAT", 400, 62),
        ("SELECT * FROM file('x', CSV) INTO OUTFILE 'y'", 500, 358),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT {x:UInt8}", 400, 456),
        ("SELECT sleep(3) SETTINGS max_execution_time = 1", 408, 159),
    ],
)
def test_an_error_has_clickhouse_s_status_and_code(http: httpx.Client, query: str, status: int, code: int) -> None:
    http.post("/", content=TABLE)
    answer = http.post("/", content=query)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code)), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_a_malformed_request_is_refused(http: httpx.Client) -> None:
    http.post("/", content=TABLE)
    assert (
        http.get("/", params={"query": "INSERT INTO t VALUES (1, 'x')"}).headers["X-ClickHouse-Exception-Code"] == "164"
    )
    assert http.get("/", params={"query": "DROP TABLE t"}).headers["X-ClickHouse-Exception-Code"] == "164"
    assert http.get("/", params={"query": "SELECT 1", "no_such": "1"}).headers["X-ClickHouse-Exception-Code"] == "115"
    assert http.get("/", params={"query": "SELECT 1", "max_threads": "x"}).status_code >= 400
    assert http.get("/", params={"query": "SELECT 1", "a'b": "x"}).headers["X-ClickHouse-Exception-Code"] == "115"
    assert http.post("/", content=b"SELECT '\xff\xfe'").headers["X-ClickHouse-Exception-Code"] == "62"
    assert http.get("/", params={"query": "SELECT 1", "session_id": "x", "session_timeout": "-1"}).status_code == 400
    assert http.get("/", params={"query": "SELECT 1", "database": "none"}).status_code == 404
    for version in ("-1", "x", "9999999999"):
        refused = http.get("/", params={"query": "SELECT 1", "client_protocol_version": version})
        assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (400, "36")
    assert _count(http) == 0


@pytest.mark.parametrize("packed", ["0", "1"])  # httpx unpacks
def test_a_result_that_fails_half_way_is_not_taken_for_whole(http: httpx.Client, packed: str) -> None:
    http.params = http.params.set("enable_http_compression", packed)
    query = "SELECT throwIf(number = 900000), rand64() FROM numbers(1000000) SETTINGS max_block_size = 10000"
    received = b""
    with http.stream("POST", "/", content=query) as answer, contextlib.suppress(httpx.RemoteProtocolError):
        for part in answer.iter_bytes():
            received += part
        pytest.fail("the body was taken for whole")
    tag = answer.headers["X-ClickHouse-Exception-Tag"]
    frame = rf"\r\n__exception__\r\n{tag}\r\n(Code: 395\. .*\n)(\d+) {tag}\r\n__exception__\r\n$"
    found = re.search(frame.encode(), received, re.DOTALL)
    assert found is not None, received[-500:]
    assert len(found[1]) == int(found[2])
    assert http.post("/", content="SELECT 1").text == "1\n"


@pytest.mark.parametrize(("revision", "info", "plain"), [(0, b"", b""), (54405, INFO, b""), (54460, INFO, b"\x00")])
def test_native_blocks_come_as_a_client_of_the_named_revision_reads_them(
    http: httpx.Client, revision: int, info: bytes, plain: bytes
) -> None:
    params = {"client_protocol_version": str(revision), "default_format": "Native"}
    kind = b"\x15DateTime('Etc/GMT-1')" if revision else b"\x08DateTime"
    sql = "SELECT 7::UInt8 AS a, toDateTime(258, 'Etc/GMT-1') AS b"
    expected = info + b"\x02\x01\x01a\x05UInt8" + plain + b"\x07\x01b" + kind + plain + b"\x02\x01\x00\x00"
    for named in ("", " FORMAT Native", " SETTINGS max_threads = 1 FORMAT Native;"):
        assert http.post("/", params=params, content=sql + named).content == expected
    assert http.post("/", params=params, content=f"{sql} FORMAT CSV").text == '7,"1970-01-01 01:04:18"\n'


def test_a_query_over_http_ends_when_its_client_leaves_and_an_insert_does_not(
    gateway: Gateway, http: httpx.Client
) -> None:
    http.post("/", content=TABLE)
    slow = "sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10"
    insert = "INSERT INTO test_http.t (a) SELECT number + sleepEachRow(0.01) FROM numbers(150)"
    running = f"SELECT count() FROM system.processes WHERE query LIKE '%{slow}' AND query NOT LIKE '%system%'"
    for sql in (f"SELECT sum({slow}", insert):
        with gateway.http() as leaver, pytest.raises(httpx.ReadTimeout):
            leaver.post("/", content=sql, timeout=0.5)
    with gateway.http() as leaver, leaver.stream("POST", "/", content=f"SELECT ignore({slow}") as answer:
        assert next(answer.iter_raw())
    deadline = time.monotonic() + 20
    while (http.post("/", content=running).text, _count(http)) != ("0\n", 150):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_named_session_keeps_its_tables_and_settings(http: httpx.Client) -> None:
    named = {"session_id": "s1", "session_timeout": "1"}
    http.post("/", params=named, content="CREATE TEMPORARY TABLE tmp (a UInt8)").raise_for_status()
    http.post("/", params=named, content="INSERT INTO tmp VALUES (5)").raise_for_status()
    assert http.post("/", params=named, content="SELECT a FROM tmp").text == "5\n"
    assert http.post("/", content="SELECT a FROM tmp").status_code == 404
    assert http.post("/", params={"session_id": "s1", "session_check": "1"}, content="SELECT a FROM tmp").text == "5\n"
    assert http.post("/", params={"session_id": "s2", "session_check": "1"}, content="SELECT 1").status_code == 404


def test_a_named_session_in_use_is_locked(gateway: Gateway, http: httpx.Client) -> None:
    named = {"session_id": "busy"}
    slow = threading.Thread(target=lambda: gateway_post(gateway, named, "SELECT sleep(1)"))
    slow.start()
    time.sleep(0.3)
    assert http.post("/", params=named, content="SELECT 1").headers["X-ClickHouse-Exception-Code"] == "373"
    slow.join()
    assert http.post("/", params=named, content="SELECT 1").text == "1\n"


def gateway_post(gateway: Gateway, params: dict[str, str], sql: str) -> None:
    """Send one statement on a connection of its own."""
    with gateway.http() as own:
        own.post("/", params=params, content=sql)


def test_slow_queries_do_not_block_others(gateway: Gateway, http: httpx.Client) -> None:
    slow = [threading.Thread(target=lambda: gateway_post(gateway, {}, "SELECT sleep(2)")) for _ in range(16)]
    for thread in slow:
        thread.start()
    time.sleep(0.2)
    began = time.monotonic()
    assert http.get("/ping").text == "Ok.\n"
    assert http.post("/", content="SELECT 1").text == "1\n"
    assert time.monotonic() - began < 1.5
    for thread in slow:
        thread.join()


def test_a_token_drops_a_repeated_insert_in_the_table_and_in_its_rollup(client: Client, http: httpx.Client) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 100"
    for sql in (
        f"CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a {window}",
        f"CREATE TABLE r (k UInt64, c UInt64) ENGINE = SummingMergeTree ORDER BY k {window}",
        "CREATE MATERIALIZED VIEW v TO r AS SELECT a % 2 AS k, count() AS c FROM t GROUP BY k",
    ):
        http.post("/", content=sql).raise_for_status()
    body = http.post("/", content="SELECT number AS a, 'x' AS s FROM numbers(10) FORMAT Native").content
    state = "SELECT (SELECT count() FROM t), (SELECT sum(c) FROM r)"
    settings = {"deduplicate_blocks_in_dependent_materialized_views": "1", "async_insert": "0"}
    for token, expected in (("one", 10), ("one", 10), ("two", 20), ("one", 20)):
        params = {"query": "INSERT INTO t (a, s) FORMAT Native", "insert_deduplication_token": token}
        http.post("/", params=params | settings, content=body).raise_for_status()
        assert http.post("/", content=state).text == f"{expected}\t{expected}\n"
    client.execute("USE test_http")
    for token, expected in (("two", 20), ("three", 30), ("three", 30)):
        rows = [(at, "x") for at in range(10)]
        client.execute("INSERT INTO t VALUES", rows, settings={"insert_deduplication_token": token, **settings})
        assert client.execute(state) == [(expected, expected)]


def test_async_inserts_and_synchronous_mutations_are_accepted(http: httpx.Client) -> None:
    http.post("/", content=TABLE)
    params = {"query": "INSERT INTO t FORMAT CSV", "async_insert": "1", "wait_for_async_insert": "1"}
    assert http.post("/", params=params, content="1,x\n2,y\n").status_code == 200
    assert _count(http) == 2
    http.post("/", params={"mutations_sync": "1"}, content="ALTER TABLE t DELETE WHERE a = 1").raise_for_status()
    assert _count(http) == 1


def test_a_form_holds_the_query_its_parameters_and_tables(http: httpx.Client) -> None:
    sql = "SELECT n, s, _2, {p:String} FROM one JOIN two ON n = _1 ORDER BY n"
    fields = {"query": sql, "param_p": "it's", "one_structure": "n UInt8, s String", "one_format": "CSV"}
    files = {"one": ("one.csv", b"1,a\n2,b\n3,c\n"), "two": ("two", b"1\tx\n3\tz\n"), "none": ("none", b"")}
    named = {"session_id": "forms", "two_types": "UInt8,String", "none_types": "UInt8", "max_threads": "1"}
    for _ in range(2):
        assert http.post("/", params=named, data=fields, files=files).text == "1\ta\tx\tit\\'s\n3\tc\tz\tit\\'s\n"
    assert http.post("/", params={"session_id": "forms"}, content="SELECT * FROM one").status_code == 404
    for about, refusal in (({}, "Code: 36"), ({"x_types": "Nope"}, "Code: 50")):
        answer = http.post("/", params=about, data={"query": "SELECT 1"}, files={"x": ("x", b"1")})
        assert answer.text.startswith(refusal)
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert http.post("/", content=b"--x\r\nnothing", headers=kind).headers["X-ClickHouse-Exception-Code"] == "117"
    assert http.post("/", content="SELECT 1").text == "1\n"


def test_a_query_is_killed_by_the_id_its_client_gave_it(gateway: Gateway, http: httpx.Client) -> None:
    slow = "SELECT sum(sleepEachRow(0.01)) FROM numbers(6000) SETTINGS max_block_size = 10"
    answers: list[httpx.Response] = []

    def ask() -> None:
        with gateway.http() as own:
            answers.append(own.post("/", params={"query_id": "it's mine"}, content=slow))

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 20
    while not http.post("/", content="KILL QUERY WHERE query_id = 'it\\'s mine' SYNC").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asking.join(20)
    assert [answer.headers["X-ClickHouse-Exception-Code"] for answer in answers] == ["394"]
    assert http.post("/", content="KILL QUERY WHERE query_id = 'it\\'s mine'").text == ""
