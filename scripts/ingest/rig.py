"""Servers and consumers of a soak or bench: a local stack of its own, and consumer processes by their pids."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from infra.local import processes, state
from infra.local.clickhouse import PROJECT
from infra.local.ports import Ports
from infra.local.stack import Stack

START_SECONDS = 60.0
STOP_SECONDS = 25.0
PARTS = {"broker": "kafka", "gateway": "clickhouse"}


class RigFailed(Exception):
    """Something that should run does not; the text says what and where its log is."""


class Consumer:
    """One consumer process. `start` may be called again after it was killed or stopped."""

    def __init__(self, service: str, environment: Mapping[str, str], log: Path, port: int) -> None:
        self.service = service
        self.port = port
        self.started_at = 0.0
        self.peak_bytes = 0
        self._environment = {**environment, "HEALTH_PORT": str(port)}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Return whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; it gets ready by itself."""
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", f"services.{self.service}"]
            self._process = subprocess.Popen(command, cwd=PROJECT, env=self._environment, stdout=log, stderr=log)
        self.started_at = time.monotonic()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as a supervisor would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self.note_memory()
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def note_memory(self) -> None:
        """Remember the highest memory use of its processes, in bytes."""
        if self._process is None:
            return
        with suppress(OSError, StopIteration, ValueError):
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
            peak = next(line for line in lines if line.startswith("VmHWM:"))
            self.peak_bytes = max(self.peak_bytes, int(peak.split()[1]) * 1024)

    def metric(self, name: str) -> float:
        """Return one of its counters, 0 while it does not answer."""
        full = f"incidentscope_{self.service}_{name}"
        with suppress(httpx.HTTPError, ValueError):
            text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=2, trust_env=False).text
            return sum(
                float(line.split()[-1]) for line in text.splitlines() if line.startswith((f"{full} ", f"{full}{{"))
            )
        return 0.0

    def wait_ready(self) -> None:
        """Return when it is ready; raises RigFailed."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.running:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2, trust_env=False).status_code == 200:
                    return
            time.sleep(0.2)
        raise RigFailed(f"{self.service} is not ready; see {self._log}:\n{self._log.read_text()[-1500:]}")


class Rig:
    """A local stack under a folder, and consumers with small quick batches where wanted."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.stack = Stack(folder / "home", Ports.free(), say=lambda _: None)
        self._settings = settings
        self.consumers: list[Consumer] = []

    def up(self) -> None:
        """Start the servers."""
        self.stack.up(infra_only=True)

    def consumer(self, service: str) -> Consumer:
        """Return a consumer that is not yet started."""
        environment = {**self.stack.service_environment, "MALLOC_ARENA_MAX": "2", **self._settings}
        log = self.folder / f"{service}-{len(self.consumers)}.log"
        made = Consumer(service, environment, log, _free_port())
        self.consumers.append(made)
        return made

    def restart(self, part: str, orderly: bool) -> None:
        """End the broker or the gateway, by SIGKILL unless orderly, and start it again."""
        name = PARTS[part]
        identity = state.load(self.stack.home).processes[name]
        processes.stop(identity, signal.SIGTERM if orderly else signal.SIGKILL)
        self.stack.up(infra_only=True)

    def down(self) -> None:
        """Stop everything and delete the data."""
        for consumer in self.consumers:
            consumer.stop()
        self.stack.down(wipe=True)


@contextmanager
def running(settings: Mapping[str, str], keep: Path | None = None) -> Iterator[Rig]:
    """Yield a rig with its servers up; everything is stopped and deleted at the end, but logs stay in `keep`."""
    with tempfile.TemporaryDirectory(prefix="incidentscope-rig-", ignore_cleanup_errors=True) as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rig = Rig(folder, settings)
        try:
            rig.up()
            yield rig
        finally:
            rig.down()


def _free_port() -> int:
    return Ports.free()["console"]
