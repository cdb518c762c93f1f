"""The servers that integration tests run against: those you name, else Docker's, else the local stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers import Servers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # `tests.servers`, whatever pytest's import mode
VARIABLES = ("KAFKA_BOOTSTRAP", "POSTGRES_URL", "CLICKHOUSE_URL")
NAMED, DOCKER, LOCAL = "environment", "docker", "local stack"


def choose(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return which servers to use, and why."""
    given = [name for name in VARIABLES if environment.get(name)]
    if len(given) == len(VARIABLES):
        return NAMED, "KAFKA_BOOTSTRAP, POSTGRES_URL and CLICKHOUSE_URL are set"
    missing = [name for name in VARIABLES if name not in given]
    why = f"{' and '.join(missing)} not set" if given else "no server is named"
    if docker_answers():
        return DOCKER, f"{why}, a Docker engine answers"
    return LOCAL, f"{why}, no Docker engine answers"


def docker_answers() -> bool:
    """Return whether a Docker engine can be used."""
    program = shutil.which("docker")
    if program is None:
        return False
    try:
        return subprocess.run([program, "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


CHOICE = pytest.StashKey[tuple[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Settle the choice once."""
    config.stash[CHOICE] = choose(os.environ)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which servers integration tests will use."""
    kind, why = config.stash[CHOICE]
    return f"servers: {kind} ({why})"


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka, Postgres and ClickHouse with the schema applied: `.kafka_bootstrap .postgres_url .clickhouse_url`."""
    from tests import servers

    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    kind, _ = pytestconfig.stash[CHOICE]
    with servers.running(kind, tmp_path_factory.mktemp("stack"), capture.global_and_fixture_disabled) as found:
        yield found
