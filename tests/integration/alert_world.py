"""A running alert router or anomaly detector on real servers, and short ways to talk to it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
from confluent_kafka import Consumer, TopicPartition
from incidentscope.alert.v1 import alert_events_pb2

from libs.messaging.cloudevents import decode
from libs.messaging.ports import Headers

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
KEY = "a-key-of-the-test"
T = TypeVar("T")
Notification = alert_events_pb2.AlertGroupNotified


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unique(name: str) -> str:
    """Return a name no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:10]}"


def write_tenants(folder: Path, *tenants: str) -> Path:
    """Write a tenants file in which every tenant has the key `<KEY>-<tenant>` and return it."""
    file = folder / "tenants.json"
    entries = [{"id": t, "api_keys_sha256": [hashlib.sha256(f"{KEY}-{t}".encode()).hexdigest()]} for t in tenants]
    file.write_text(json.dumps({"tenants": entries}))
    return file


class ServiceProcess:
    """One service as a process of its own, stopped by its pid."""

    def __init__(self, service: str, environment: Mapping[str, str], log: Path) -> None:
        self.service = service
        self.port = free_port()
        self._environment = {**os.environ, **environment, "HEALTH_PORT": str(self.port)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", f"services.{self.service}"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        eventually(self._ready, lambda ready: ready, START_SECONDS)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """End it as a supervisor would and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running(service: str, environment: Mapping[str, str], folder: Path) -> Iterator[ServiceProcess]:
    """Run a service for as long as the block lasts."""
    process = ServiceProcess(service, environment, folder / f"{service}.log")
    process.start()
    try:
        yield process
    finally:
        process.stop()


@dataclass(frozen=True, slots=True)
class Router:
    """A running router, and what it tells."""

    process: ServiceProcess
    bootstrap: str
    tenant: str

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        """Post JSON, or bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"content-type": "application/json", "x-api-key": f"{KEY}-{self.tenant}", **headers}
        return httpx.post(self.process.url + path, content=body, headers=sent, timeout=40, trust_env=False)

    def push(self, *alerts: dict[str, Any]) -> None:
        """Push alerts as Prometheus does."""
        answer = self.post("/api/v2/alerts", list(alerts))
        assert answer.status_code == 200, answer.text

    def told(self, service: str, count: int, timeout_s: float = 40) -> list[Notification]:
        """Return what was told of a service's group, waiting for `count` notifications and a moment for more."""
        return self.told_of([service], count, timeout_s)

    def told_of(self, services: Collection[str], count: int, timeout_s: float = 40) -> list[Notification]:
        """Return what was told of several services' groups, waiting for `count` notifications and a moment for more."""
        keys = {f'{{}}:{{service="{service}"}}'.encode() for service in services}
        messages = read(self.bootstrap, "alerts.notifications", lambda m: m.key() in keys, count, timeout_s)
        return [decode(headers_of(m), m.value()).data for m in messages]  # type: ignore[misc]


def headers_of(message: Any) -> Headers:
    """Return a message's headers."""
    return tuple((name, value or b"") for name, value in message.headers() or ())


def read(
    bootstrap: str, topic: str, wanted: Callable[[Any], bool], count: int, timeout_s: float = 40, quiet_s: float = 1.5
) -> list[Any]:
    """Return the committed messages of a topic that are wanted, in order of each partition.

    Waits until there are `count`, and then until none has come for a while.
    """
    config = {
        "bootstrap.servers": bootstrap, "group.id": uuid.uuid4().hex, "isolation.level": "read_committed",
        "enable.auto.commit": False,
    }  # fmt: skip
    consumer = Consumer(config)
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
    found: list[Any] = []
    deadline = time.monotonic() + timeout_s
    last = time.monotonic()
    while time.monotonic() < deadline and (len(found) < count or time.monotonic() - last < quiet_s):
        fresh = [m for m in consumer.consume(500, 0.2) if m.error() is None and wanted(m)]
        if fresh:
            found, last = found + fresh, time.monotonic()
    consumer.close()
    return found


def eventually(read_value: Callable[[], T], wanted: Callable[[T], bool], timeout_s: float = 20) -> T:
    """Read until the value is the wanted one and return it; the last value is shown when it never is."""
    deadline = time.monotonic() + timeout_s
    while not wanted(value := read_value()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s, last saw: {value!r}"
        time.sleep(0.1)
    return value


def written(seconds: float) -> str:
    """Return the instant so many seconds from now as Prometheus writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
