"""The gateway as a process: start, stop, kill, its folder, its ports, and clients that break the protocol."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import Error, ServerException

from tests.integration.clickhouse_gateway.world import ROOT, Gateway, command, free_port

HELLO = b"\x00\x04test\x01\x01\x9d\xa9\x03\x00\x07default\x00"  # revision 54429, user default, no password
NEWER = b"\x00\x04test\x01\x01\xbc\xa9\x03\x00\x07default\x00\x00"  # revision 54460 and its quota key
ASK = b"\x01\x00\x00\x00\x00\x02\x00\x08SELECT 1\x00"  # as that revision asks


def _refused(folder: Path, native_port: int, http_port: int, *extra: str) -> str:
    argv = command(folder, native_port, http_port, *extra)
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    return ended.stderr


def _answer(gateway: Gateway, *sent: bytes) -> bytes:
    """Send bytes to the native port, and return what comes back until the server closes the connection."""
    with gateway.raw() as sock:
        for part in sent:
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while data := sock.recv(65536):
            answer += data
    return answer


def test_committed_rows_survive_a_kill_in_the_middle_of_inserts(own_gateway: Callable[..., Gateway]) -> None:
    gateway = own_gateway()
    gateway.client().execute("CREATE TABLE t (w UInt64, n UInt64, s String) ENGINE = MergeTree ORDER BY (w, n)")
    acknowledged = [0, 0, 0]

    def work(worker: int) -> None:
        own = Client("127.0.0.1", gateway.native_port)
        try:
            while True:
                rows = [(worker, acknowledged[worker] + at, "x" * 50) for at in range(1000)]
                own.execute("INSERT INTO t VALUES", rows)
                acknowledged[worker] += 1000
        except (Error, OSError, EOFError):
            pass  # the gateway has been killed
        finally:
            own.disconnect()

    workers = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for thread in workers:
        thread.start()
    while min(acknowledged) < 3000:
        time.sleep(0.05)
    gateway.kill()
    for thread in workers:
        thread.join(30)
    gateway.start()
    found = dict(gateway.client().execute("SELECT w, (count(), uniqExact(n)) FROM t GROUP BY w"))
    for worker, rows in enumerate(acknowledged):
        assert found[worker][0] == found[worker][1], "no row twice"
        assert rows <= found[worker][0] <= rows + 1000, "nothing acknowledged is lost, one insert may be in between"
        assert found[worker][0] % 1000 == 0, "no half insert"
    assert not list((gateway.folder / "spool").iterdir())


def test_a_restart_keeps_tables_in_the_default_database(own_gateway: Callable[..., Gateway]) -> None:
    gateway = own_gateway()
    gateway.client().execute("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    gateway.client().execute("INSERT INTO t VALUES", [(1,)])
    assert gateway.stop() == 0
    gateway.start()
    assert gateway.client().execute("SELECT a FROM t") == [(1,)]


def test_a_stop_lets_running_queries_finish(own_gateway: Callable[..., Gateway]) -> None:
    gateway = own_gateway()
    found: list[object] = []
    native = gateway.client()

    def over_http() -> None:
        with gateway.http() as http:
            found.append(http.post("/", content="SELECT sleep(2)").text)

    running = [
        threading.Thread(target=lambda: found.append(native.execute("SELECT sleep(2)"))),
        threading.Thread(target=over_http),
    ]
    for thread in running:
        thread.start()
    time.sleep(0.7)
    assert gateway.process is not None
    gateway.process.terminate()
    assert gateway.process.wait(30) == 0
    for thread in running:
        thread.join(10)
    assert sorted(map(str, found)) == ["0\n", "[(0,)]"]
    assert gateway.log() == ""


def test_a_stop_does_not_wait_for_ever(own_gateway: Callable[..., Gateway]) -> None:
    gateway = own_gateway()
    native = gateway.client()

    def forever() -> None:
        with pytest.raises((Error, EOFError, OSError)):
            native.execute("SELECT sum(sleepEachRow(0.1)) FROM numbers(10000) SETTINGS max_block_size = 1")

    running = threading.Thread(target=forever)
    running.start()
    time.sleep(0.5)
    assert gateway.process is not None
    began = time.monotonic()
    gateway.process.terminate()
    assert gateway.process.wait(30) == 0
    assert time.monotonic() - began < 15
    running.join(10)


def test_a_folder_has_one_owner(gateway: Gateway) -> None:
    text = _refused(gateway.folder, free_port(), free_port())
    assert gateway.process is not None
    assert f"is in use by another ClickHouse gateway (pid {gateway.process.pid})" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("taken", ["native", "http"])
def test_a_port_in_use_is_one_sentence(gateway: Gateway, tmp_path: Path, taken: str) -> None:
    native = gateway.native_port if taken == "native" else free_port()
    http = gateway.http_port if taken == "http" else free_port()
    text = _refused(tmp_path / "data", native, http)
    assert f"cannot listen on 127.0.0.1:{native if taken == 'native' else http}: Address already in use" in text
    assert text.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = _refused(tmp_path / "file" / "data", free_port(), free_port())
    assert "cannot be opened" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    "extra", [("--native-port", "x"), ("--http-port", "70000"), ("--memory-mib", "0"), ("--nope",)]
)
def test_a_mistake_on_the_command_line_is_refused(tmp_path: Path, extra: tuple[str, ...]) -> None:
    assert "error: " in _refused(tmp_path / "data", 1, 2, *extra)


def test_the_pid_file_exists_while_it_runs(own_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = own_gateway("--pid-file", str(tmp_path / "pid"))
    assert gateway.process is not None
    deadline = time.monotonic() + 10
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
    assert int((tmp_path / "pid").read_text()) == gateway.process.pid
    gateway.stop()
    assert not (tmp_path / "pid").exists()


def test_idle_memory_stays_small(own_gateway: Callable[..., Gateway]) -> None:
    gateway = own_gateway()
    gateway.client().execute("SELECT 1")
    assert gateway.resident_mib() < 700


@pytest.fixture
def guarded(own_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway with a user and a password."""
    return own_gateway("--user", "ada", "--password", "secret", "--max-insert-mib", "2")


def test_user_and_password_are_checked_on_both_ports_and_inserts_are_bounded(guarded: Gateway) -> None:
    assert guarded.client(user="ada", password="secret").execute("SELECT 1") == [(1,)]
    for user, password in (("ada", "wrong"), ("ada", ""), ("default", "secret"), ("", "")):
        with pytest.raises(ServerException) as failed:
            guarded.client(user=user, password=password).execute("SELECT 1")
        assert failed.value.code == 516
    with guarded.http() as http:
        ask = {"query": "SELECT 1"}
        assert http.get("/ping").status_code == 200
        refused = http.get("/", params=ask)
        assert (refused.status_code, refused.headers["X-ClickHouse-Exception-Code"]) == (403, "516")
        assert http.get("/", params=ask, auth=("ada", "secret")).text == "1\n"
        assert http.get("/", params=ask, headers={"Authorization": "Basic ???"}).status_code == 403
        assert http.get("/", params=ask | {"user": "ada", "password": "secret"}).text == "1\n"
        headers = {"X-ClickHouse-User": "ada", "X-ClickHouse-Key": "secret"}
        assert http.get("/", params=ask, headers=headers).text == "1\n"
        _bounded_inserts(guarded, http, headers)


def _bounded_inserts(guarded: Gateway, http: httpx.Client, headers: dict[str, str]) -> None:
    http.post(
        "/", content="CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY tuple()", headers=headers
    ).raise_for_status()
    insert = {"query": "INSERT INTO t FORMAT TSV"}
    large = http.post("/", params=insert, headers=headers, content=b"x\n" * (5 << 20))
    assert (large.status_code, large.headers["X-ClickHouse-Exception-Code"]) == (413, "229")
    import gzip

    bomb = gzip.compress(b"x\n" * (50 << 20))
    assert (
        http.post("/", params=insert, headers={**headers, "Content-Encoding": "gzip"}, content=bomb).status_code == 413
    )
    native = guarded.client(user="ada", password="secret")
    with pytest.raises(ServerException, match="limited to 2097152 bytes"):
        native.execute("INSERT INTO t VALUES", [("x" * 1000,) for _ in range(10_000)])
    assert native.execute("SELECT count() FROM t") == [(0,)]
    assert native.execute("INSERT INTO t VALUES", [("x" * 1000,)]) == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([os.urandom(64 * 1024)], b""),
        ([b"\xff" * 100], b"longer than 64 bits"),
        ([b"\x07"], b"must begin with a hello"),
        ([b"\x01" + b"\x00" * 50], b"must begin with a hello"),
        ([HELLO[:9]], b""),
        ([b"\x00\xff\xff\xff\xff\x7f"], b"is longer than"),
        ([b"\x00\x04test\x01\x01\x01\x00\x07default\x00"], b"older than 54429"),
        ([b"GET / HTTP/1.1\r\n\r\n"], b"400 Bad Request"),
        ([HELLO, b"\x63"], b"Packet 99 from the client was not expected"),
        ([HELLO, b"\x02\x00"], b"Packet 2 from the client was not expected"),
        ([HELLO, b"\x01"], b"ClickHouse"),
        ([HELLO, b"\x01\x00\x01" + b"\x00" * 3 + b"\x02"], b"Only clients of the native protocol"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\xff\xff\xff\xff\x7f"], b"is longer than"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x04"], b"Data was expected, not packet 4"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x02\x00\x09"], b"Unknown BlockInfo field"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x02\x00\x00\xff\xff\x7f\x01"], b"Suspicious block"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x02\x01x\x00\x01\x01\x01a\x04Nope\x00"], b"cannot be sent"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x02\x01x\x00\x01\x01\x01a\x06Array("], b"Unbalanced type"),
        ([NEWER[:-1], b"\xff\xff\xff\xff\x7f"], b"is longer than"),
        ([NEWER, ASK + b"\x04"], b"Data was expected, not packet 4"),
        ([NEWER, ASK + b"\x02\x01x\x00\x01\x01\x01a\x05UInt8\x01\x07"], b"Column a is sparse"),
        ([NEWER, ASK[:-1] + b"\x01p\x02\xff\xff\xff\x7f"], b"is longer than"),
        ([HELLO, b"\x01\x00\x00\x00\x02\x00\x08SELECT 1\x02\x01x\x00\x01\x05\x01a\x06UInt64\x00"], b"ClickHouse"),
    ],
)
def test_a_client_that_breaks_the_protocol_is_told_and_others_go_on(
    gateway: Gateway, client: Client, sent: list[bytes], expected: bytes
) -> None:
    assert expected in _answer(gateway, *sent)
    assert client.execute("SELECT 1") == [(1,)]
    assert gateway.log() == ""


def test_an_insert_cut_off_by_its_client_leaves_nothing(gateway: Gateway, client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    insert = b"INSERT INTO test_native.t VALUES"
    query = b"\x01\x00\x00\x00\x02\x00" + bytes([len(insert)]) + insert + b"\x02\x00\x00\x00\x00"
    block = b"\x02\x00\x00\x01\x02\x01a\x06UInt64" + b"\x01" * 16
    answer = _answer(gateway, HELLO, query, block, block[:-3])
    assert b"\x01a\x06UInt64" in answer
    assert client.execute("SELECT count() FROM t") == [(0,)]
    assert client.execute("SELECT 1") == [(1,)]
