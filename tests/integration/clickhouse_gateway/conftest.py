"""One gateway for the session, and one for each test that has to break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client

from tests.integration.clickhouse_gateway.world import Gateway


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A running gateway that all tests share."""
    started = Gateway(tmp_path_factory.mktemp("gateway") / "data").start()
    yield started
    assert started.stop() == 0, started.log()


@pytest.fixture
def own_gateway(tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways of a test's own with extra arguments; those left running are stopped."""
    started: list[Gateway] = []

    def start(*extra: str) -> Gateway:
        started.append(Gateway(tmp_path / f"data{len(started)}", extra).start())
        return started[-1]

    yield start
    for gateway in started:
        gateway.stop()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    """A native client in a database of the test's own."""
    native = gateway.client()
    native.execute("CREATE DATABASE IF NOT EXISTS test_native")
    native.execute("USE test_native")
    yield native
    native.execute("DROP DATABASE test_native SYNC")
    gateway.disconnect()


@pytest.fixture
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    """An HTTP client in a database of the test's own."""
    with gateway.http(params={"database": "test_http"}) as session:
        session.post("/", params={"database": "default"}, content="CREATE DATABASE IF NOT EXISTS test_http")
        yield session
        session.post("/", params={"database": "default"}, content="DROP DATABASE test_http SYNC")
