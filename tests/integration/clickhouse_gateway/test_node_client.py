"""@clickhouse/client against the gateway, plain and compressed: what Node programs stand on."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.install_toolchains import ensure
from tests.integration.clickhouse_gateway.world import ROOT, Gateway

pytestmark = pytest.mark.toolchains
SOURCES = Path(__file__).parent / "clients" / "node"
CACHE = ROOT / ".cache" / "node" / "clickhouse"
EXPECTED: dict[str, Any] = {
    "query": [True, 42, "łódź", {"k": "v"}, None, "default"],
    "parameters": [42, "it's\ta tab", ["a", "b'c"]],
    "large": 300_000,
    "insert": ["5000", "5000", "7", "2500", "2026-05-01 12:00:00.123456789"],
    "cancelled": [True, "The user aborted a request.", True],
    "killed": [True, 394, False],
    "error": [60, True],
    "insert error": [60, True],
    "late error": [395, True],
    "after": 1,
}


@pytest.fixture(scope="module")
def program() -> Path:
    """The client beside its modules, which come by package-lock.json into an ignored folder."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        for source in SOURCES.iterdir():
            shutil.copy(source, CACHE)
        command = [str(ensure("node")["npm"]), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        fetched = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=300, check=False)
    assert fetched.returncode == 0, fetched.stderr
    return CACHE / "client.cjs"


@pytest.mark.parametrize("compressed", ["no", "yes"])
def test_what_a_node_program_does_works(gateway: Gateway, program: Path, compressed: str) -> None:
    command = [str(ensure("node")["node"]), str(program), f"http://127.0.0.1:{gateway.http_port}", compressed]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == EXPECTED
    assert gateway.log() == ""
