"""The servers that integration tests run against: those you name, else Docker's, else the local stack."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import servers

CHOICE = pytest.StashKey[tuple[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Settle once which servers to use."""
    config.stash[CHOICE] = servers.choose(os.environ)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which servers integration tests will use, and why."""
    kind, why = config.stash[CHOICE]
    return f"servers: {kind} ({why})"


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[servers.Servers]:
    """Kafka, Postgres and ClickHouse with the schema applied: `.kafka_bootstrap .postgres_url .clickhouse_url`."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    kind, _ = pytestconfig.stash[CHOICE]
    with servers.running(kind, capture.global_and_fixture_disabled) as found:
        yield found
