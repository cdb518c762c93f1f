"""Bringing up the servers of a test session, by whichever way was chosen."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.local import schema
from infra.local.ports import HOST, Ports
from infra.local.stack import Stack

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "incidentscope"
DOCKER_SECONDS = 120.0


@dataclass(frozen=True)
class Servers:
    """Where the servers are."""

    kafka_bootstrap: str
    postgres_url: str
    clickhouse_url: str


@contextlib.contextmanager
def running(kind: str, home: Path, aloud: Callable[[], AbstractContextManager[Any]]) -> Iterator[Servers]:
    """Yield servers with topics and tables in place; what was started is stopped at the end.

    `aloud` gives a context in which progress can be seen.
    """
    with ExitStack() as opened:
        with aloud():
            if kind == "local stack":
                found = opened.enter_context(_local(home))
            elif kind == "docker":
                found = opened.enter_context(_docker())
            else:
                environ = os.environ
                found = Servers(environ["KAFKA_BOOTSTRAP"], environ["POSTGRES_URL"], environ["CLICKHOUSE_URL"])
            if kind != "local stack":
                _apply_schema(found, home)
        yield found


def _apply_schema(found: Servers, home: Path) -> None:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP": found.kafka_bootstrap,
        "POSTGRES_URL": found.postgres_url,
        "CLICKHOUSE_URL": found.clickhouse_url,
    }
    for module in (schema.CREATE_TOPICS, schema.MIGRATE):
        print(schema.apply(module, environment, home / f"{module}.log"))


@contextlib.contextmanager
def _local(home: Path) -> Iterator[Servers]:
    begun = time.monotonic()
    print()
    local = Stack(home, Ports.free(), say=lambda text: print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True))
    try:
        local.up(infra_only=True)
        yield Servers(local.kafka_bootstrap, local.postgres_url, local.clickhouse_url)
    finally:
        local.down(wipe=True)


@contextlib.contextmanager
def _docker() -> Iterator[Servers]:
    """Run the images that docker-compose.yml names, on free ports of the loopback interface."""
    images = {name: block["image"] for name, block in _compose()["services"].items() if "image" in block}
    ports = Ports.free()
    with ExitStack() as opened:
        kafka = opened.enter_context(_kafka(images["kafka"], ports))
        opened.enter_context(_postgres(images["postgres"], ports))
        opened.enter_context(_clickhouse(images["clickhouse"], ports))
        for name in ("kafka", "postgres", "clickhouse_native", "clickhouse_http"):
            _wait_for(ports[name])
        del kafka
        native = ports.address("clickhouse_native")
        yield Servers(
            ports.address("kafka"),
            f"postgresql://postgres:test@{ports.address('postgres')}/{DATABASE}",
            f"clickhouse://default@{native}/{DATABASE}?http_port={ports['clickhouse_http']}",
        )
