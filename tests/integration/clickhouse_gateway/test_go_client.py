"""clickhouse-go against the gateway, by both protocols and each compression: it is what Go programs stand on.

Grafana's ClickHouse data source and the Collector's clickhouseexporter are two of them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.clickhouse_gateway.world import Gateway
from tests.integration.go_programs import build

pytestmark = pytest.mark.toolchains
SOURCES = Path(__file__).parent / "clients" / "go"
EXPECTED: dict[str, Any] = {
    "query": [42, "łódź", {"k": "v"}, None, "2026-05-01T12:00:00+09:00"],
    "empty": False,
    "parameters": [42, "it's a\ttab"],
    "large": 300_000,
    "insert": [5000, 7, 2500, "2026-05-01T12:00:00.123456789Z"],
    "statement": ["it's", "later"],
    "cancelled": "stopped",
    "error": [60, True],
    "insert error": [469, True],
    "late error": [395, True],
    "after": 1,
}


@pytest.fixture(scope="module")
def program() -> Path:
    """The client, built once."""
    return build(SOURCES)


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        ("native", ""),
        ("native", "compress=lz4"),
        ("native", "compress=zstd&max_execution_time=60"),
        ("http", ""),
        ("http", "compress=lz4"),
        ("http", "compress=zstd"),
        ("http", "compress=gzip&enable_http_compression=1"),
        ("http", "compress=deflate&enable_http_compression=1"),
    ],
)
def test_what_a_go_program_does_works(gateway: Gateway, program: Path, protocol: str, options: str) -> None:
    port, scheme = (gateway.native_port, "clickhouse") if protocol == "native" else (gateway.http_port, "http")
    address = f"{scheme}://default:@127.0.0.1:{port}/default?{options}"
    ended = subprocess.run([program, address], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == EXPECTED
    assert gateway.log() == ""
