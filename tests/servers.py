"""Bringing up the servers of a test session, by whichever way was chosen."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import yaml
from confluent_kafka import KafkaException

from infra.local import schema
from infra.local.part import http_problem
from infra.local.ports import HOST, Ports
from infra.local.stack import Stack
from libs.storage.clickhouse_address import ClickHouseAddress
from libs.storage.service_role import SERVICE_ROLE

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "incidentscope"
PASSWORD = "only-for-this-test-run"
DOCKER_SECONDS = 120.0
VARIABLES = ("KAFKA_BOOTSTRAP", "POSTGRES_URL", "CLICKHOUSE_URL")
NAMED, DOCKER, LOCAL = "environment", "docker", "local stack"


@dataclass(frozen=True)
class Servers:
    """Where the servers are."""

    kafka_bootstrap: str
    postgres_url: str
    clickhouse_url: str
    postgres_service_url: str = ""  # as services connect; postgres_url is the owner's


def choose(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return which servers to use, and why."""
    missing = [name for name in VARIABLES if not environment.get(name)]
    if not missing:
        return NAMED, f"{', '.join(VARIABLES)} are set"
    why = "no server is named" if len(missing) == len(VARIABLES) else f"{' and '.join(missing)} not set"
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


@contextlib.contextmanager
def running(kind: str, aloud: Callable[[], AbstractContextManager[Any]]) -> Iterator[Servers]:
    """Yield servers with topics and tables in place; what was started is stopped at the end.

    `aloud` gives a context in which progress can be seen.
    """
    with ExitStack() as opened:
        home = opened.enter_context(home_folder())
        with aloud():
            if kind == LOCAL:
                found = opened.enter_context(_local(home))
            elif kind == DOCKER:
                found = opened.enter_context(_docker())
            else:
                environ = os.environ
                owner = environ["POSTGRES_URL"]
                service = environ.get("POSTGRES_SERVICE_URL") or as_service(owner)
                found = Servers(environ["KAFKA_BOOTSTRAP"], owner, environ["CLICKHOUSE_URL"], service)
            if kind != LOCAL:
                _apply_schema(found, home)
        yield found


@contextlib.contextmanager
def home_folder() -> Iterator[Path]:
    """Yield a folder for a stack, outside pytest's own: other sessions close that to Postgres' system user."""
    with tempfile.TemporaryDirectory(prefix="incidentscope-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"


def as_service(owner_url: str) -> str:
    """Return the address by which services reach the owner's database in a test run."""
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{SERVICE_ROLE}:{PASSWORD}@{host}"))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _apply_schema(found: Servers, home: Path) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP": found.kafka_bootstrap,
        "POSTGRES_URL": found.postgres_url,
        "CLICKHOUSE_URL": found.clickhouse_url,
        "POSTGRES_SERVICE_PASSWORD": PASSWORD if found.postgres_service_url == as_service(found.postgres_url) else "",
    }
    for module in (schema.CREATE_TOPICS, schema.MIGRATE):
        _say(schema.apply(module, environment, home / f"{module}.log"))


@contextlib.contextmanager
def _local(home: Path) -> Iterator[Servers]:
    begun = time.monotonic()
    _say("")
    local = Stack(home, Ports.free(), say=lambda text: _say(f"[{time.monotonic() - begun:5.1f} s] {text}"))
    try:
        local.up(infra_only=True)
        yield Servers(local.kafka_bootstrap, local.postgres_url, local.clickhouse_url, local.postgres_service_url)
    finally:
        local.down(wipe=True)


@contextlib.contextmanager
def _docker() -> Iterator[Servers]:
    """Run the servers of docker-compose.yml on free ports of the loopback interface."""
    blocks = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ports = Ports.free()
    with ExitStack() as opened:
        opened.enter_context(_container(blocks["kafka"], kafka_environment(ports["kafka"]), {9092: ports["kafka"]}))
        opened.enter_context(_container(blocks["postgres"], {"POSTGRES_PASSWORD": PASSWORD}, {5432: ports["postgres"]}))
        clickhouse_ports = {9000: ports["clickhouse_native"], 8123: ports["clickhouse_http"]}
        opened.enter_context(_container(blocks["clickhouse"], {"CLICKHOUSE_PASSWORD": PASSWORD}, clickhouse_ports))
        user = blocks["clickhouse"]["environment"]["CLICKHOUSE_USER"]
        owner = blocks["postgres"]["environment"]["POSTGRES_USER"]
        postgres = f"postgresql://{owner}:{PASSWORD}@{ports.address('postgres')}/{DATABASE}"
        found = Servers(
            ports.address("kafka"),
            postgres,
            str(
                ClickHouseAddress(HOST, ports["clickhouse_native"], ports["clickhouse_http"], user, PASSWORD, DATABASE)
            ),
            as_service(postgres),
        )
        _wait_for(found, ports["clickhouse_http"])
        yield found


def kafka_environment(port: int) -> dict[str, str]:
    """Return what lets clients outside and the broker itself each reach it by an address of their own."""
    return {
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,INTERNAL://:29092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{port},INTERNAL://localhost:29092",
        "KAFKA_INTER_BROKER_LISTENER_NAME": "INTERNAL",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSET_METADATA_MAX_BYTES": "16384",
    }


def _container(block: dict[str, Any], changes: dict[str, str], ports: dict[int, int]) -> AbstractContextManager[Any]:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(block["image"])
    for name, value in {**block["environment"], **changes}.items():
        container.with_env(name, str(value))
    for inside, outside in ports.items():
        # with_bind_ports would open it to the whole network
        cast("dict[str, Any]", container.ports)[str(inside)] = (HOST, outside)
    return container


def _wait_for(found: Servers, clickhouse_http: int) -> None:
    import psycopg
    from confluent_kafka.admin import AdminClient

    def ask() -> None:
        AdminClient({"bootstrap.servers": found.kafka_bootstrap, "log_level": 0}).list_topics(timeout=3)
        psycopg.connect(found.postgres_url, connect_timeout=3).close()
        problem = http_problem(clickhouse_http, "/ping")
        if problem:
            raise OSError(problem)

    deadline = time.monotonic() + DOCKER_SECONDS
    while True:
        try:
            return ask()
        except (OSError, psycopg.OperationalError, KafkaException) as exc:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the containers were not ready after {DOCKER_SECONDS:.0f} s: {exc}") from exc
        time.sleep(0.5)
