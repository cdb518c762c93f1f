"""ClickHouse's JDBC driver against the gateway, in each way it packs its requests: Java programs and DBeaver use it."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path

import pytest

from infra.local import jars, maven
from infra.local.maven import Coordinate
from scripts.install_toolchains import ensure
from tests.integration.clickhouse_gateway.world import ROOT, Gateway

pytestmark = pytest.mark.toolchains
SOURCES = Path(__file__).parent / "clients" / "java"
CACHE = ROOT / ".cache" / "java" / "clickhouse"
EXPECTED = """\
query: [42, łódź, {k=v}, null, default]
parameters: 42 it's\ta \\ tab
large: 300000
insert: [5000, 3, 2500, 2026-05-01 12:00:00.123]
metadata: [id UInt64, name LowCardinality(String), tags Array(String), at DateTime64(3, 'UTC'), ratio Nullable(Float64)]
cancelled: [true, true, 394]
error: 60 true
insert error: 60 true
late error: noticed
after: [1]
"""


@pytest.fixture(scope="module")
def driver() -> Path:
    """The folder with the driver's jars, which are pinned in jars.json and come into an ignored folder."""
    pins = json.loads((SOURCES / "jars.json").read_text())
    pinned = {Coordinate.parse(text): digest for text, digest in pins.items()}
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        wrong = [jar for jar, digest in pinned.items() if jars.digest(CACHE / jar.file_name) != digest]
        if wrong:
            maven.by_jgo(wrong, CACHE, None, print)
    assert {str(jar): jars.digest(CACHE / jar.file_name) for jar in pinned} == pins
    return CACHE


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["compress=false"],
        ["decompress=true"],
        ["decompress=true", "client.use_http_compression=true"],
        ["client.http.use_form_request_for_query=true"],
    ],
    ids=str,
)
def test_what_a_java_program_does_works(gateway: Gateway, driver: Path, options: list[str]) -> None:
    address = f"jdbc:clickhouse://127.0.0.1:{gateway.http_port}/default"
    program = ["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", f"{driver}/*", str(SOURCES / "Client.java")]
    command = [str(ensure("java")["java"]), *program, address, "user=default", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (ended.returncode, ended.stdout) == (0, EXPECTED), ended.stderr[-4000:]
    assert gateway.log() == ""
