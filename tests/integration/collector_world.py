"""A real OpenTelemetry Collector, built from its modules: run with a configuration, stopped by its pid."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.integration.alert_world import eventually, free_port
from tests.integration.go_programs import build

SOURCES = Path(__file__).with_name("collector")
SDK_PROGRAM = Path(__file__).with_name("sdk_program.py")
START_SECONDS = 30.0


@dataclass(frozen=True)
class Collector:
    """Where a running Collector listens."""

    grpc_port: int
    http_port: int
    log: Path

    def feed(self, protocol: str, service: str) -> str:
        """Have a program with the OpenTelemetry SDK export to it, and return that program's trace id."""
        port = self.grpc_port if protocol == "grpc" else self.http_port
        command = [sys.executable, str(SDK_PROGRAM), protocol, f"http://127.0.0.1:{port}", "no key", service]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.strip()


def validate(*configurations: str) -> subprocess.CompletedProcess[str]:
    """Have the Collector check configurations, as it merges them."""
    command = [str(build(SOURCES)), "validate", *_named(configurations)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def running_collector(
    folder: Path, *configurations: str, environment: Mapping[str, str] | None = None
) -> Iterator[Collector]:
    """Run a Collector as long as the block lasts: its OTLP receiver and health check on free ports of the loopback."""
    program, (grpc_port, http_port, health_port) = build(SOURCES), (free_port() for _ in range(3))
    ports = [
        f"yaml:receivers::otlp::protocols::grpc::endpoint: 127.0.0.1:{grpc_port}",
        f"yaml:receivers::otlp::protocols::http::endpoint: 127.0.0.1:{http_port}",
        f"yaml:extensions::health_check::endpoint: 127.0.0.1:{health_port}",
        "yaml:service::telemetry::metrics::level: none",
    ]
    log = folder / f"collector-{grpc_port}.log"
    command = [str(program), *_named([*configurations, *ports])]
    with log.open("ab") as output:
        process = subprocess.Popen(command, env={**os.environ, **(environment or {})}, stdout=output, stderr=output)
    try:
        eventually(lambda: _healthy(process, health_port, log), lambda healthy: healthy, START_SECONDS)
        yield Collector(grpc_port, http_port, log)
    finally:
        process.terminate()
        process.wait(30)


def _named(configurations: Sequence[str]) -> list[str]:
    return [f"--config={configuration}" for configuration in configurations]


def _healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text()[-2000:]
    try:
        return httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
