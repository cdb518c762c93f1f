"""A gateway of the tests' own: started on free ports over a temporary folder, stopped by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from clickhouse_driver import Client

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def free_port() -> int:
    """Return a port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(folder: Path, native_port: int, http_port: int, *extra: str) -> list[str]:
    """Return the command line of a gateway."""
    ports = ["--native-port", str(native_port), "--http-port", str(http_port)]
    return [sys.executable, "-m", "infra.local.clickhouse_gateway", "--data-dir", str(folder), *ports, *extra]


@dataclass
class Gateway:
    """A gateway process, which may be killed and started again over the same folder."""

    folder: Path
    extra: tuple[str, ...] = ()
    native_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    start_seconds: float = 0.0
    clients: list[Client] = field(default_factory=list)

    def start(self) -> Gateway:
        """Start it and wait until it says it is ready."""
        began = time.monotonic()
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            argv = command(self.folder, self.native_port, self.http_port, *self.extra)
            self.process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("ready"), f"the gateway did not start: {line!r}, {self.log()}"
        self.start_seconds = time.monotonic() - began
        return self

    def log(self) -> str:
        """Return what it wrote to its standard error."""
        return (self.folder.parent / f"{self.folder.name}.log").read_text()

    def kill(self) -> None:
        """Kill it with SIGKILL, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it with SIGTERM, and return its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.disconnect()
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.stdout.close()

    def client(self, **options: Any) -> Client:
        """Connect by the native protocol, until `disconnect`."""
        made = Client("127.0.0.1", self.native_port, connect_timeout=10, send_receive_timeout=60, **options)
        self.clients.append(made)
        return made

    def disconnect(self) -> None:
        """Disconnect every client."""
        while self.clients:
            self.clients.pop().disconnect()

    def http(self, **options: Any) -> httpx.Client:
        """Connect by HTTP."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60, trust_env=False, **options)

    def raw(self) -> socket.socket:
        """Open a bare connection to the native port."""
        return socket.create_connection(("127.0.0.1", self.native_port), timeout=10)

    def resident_mib(self) -> float:
        """Return the process's resident memory in MiB."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
