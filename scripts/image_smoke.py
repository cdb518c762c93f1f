"""Build the image and start everything of docker-compose.yml from it, without a Docker engine.

buildah builds the Dockerfile as it is; where python:3.11-slim cannot be pulled, a small Debian made of packages stands
in for it. podman and runc run the commands of docker-compose.yml with a read-only root and its environment, against
Kafka, Postgres and ClickHouse of the local stack with the accounts that file gives them; only `host:port` is another.
At the end a span goes in by OTLP and is looked up in ClickHouse. Everything is removed again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from infra.local.ports import Ports
from libs.kernel.errors import IncidentScopeError
from libs.storage.clickhouse import ClickHouse
from libs.storage.clickhouse_address import ClickHouseAddress
from scripts.image import build, compose, servers, span, tools
from scripts.image.build import Storage
from scripts.image.compose import Block
from scripts.image.containers import Containers
from scripts.image.tools import Say, SmokeFailed

CACHE = compose.ROOT / ".cache" / "image-smoke"
READY_SECONDS, SPAN_SECONDS = 180.0, 60.0
TENANT = "INCIDENTSCOPE_ANONYMOUS_TENANT"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    started: int
    of: int
    size_mb: int

    def line(self) -> str:
        """Return the last line."""
        return (
            f"image-smoke: built=ok services_started={self.started} of={self.of} span_found=ok size_mb={self.size_mb}"
        )


def smoke(options: argparse.Namespace, say: Say) -> Result:
    """Do all of it; raises IncidentScopeError with what failed."""
    tools.ensure(say)
    found = compose.blocks()
    with _storage(say) as storage:
        base = build.provide_base(storage, CACHE, options.mirror, not options.no_pull, say)
        say(f"base: {base}")
        say(f"building {build.DOCKERFILE.relative_to(compose.ROOT)} (about a minute)")
        build.build(storage)
        size = build.size_mb(storage)
        say(f"built: {size} MB ({build.parts_mb(storage)})")
        with _folder() as folder, servers.running(folder / "home", say) as ports:
            started = _start(Containers(storage), compose.at_local_addresses(found, ports), ports, say)
    return Result(started, sum(not block.once for block in found.values()), size)


def _start(containers: Containers, found: dict[str, Block], ports: Ports, say: Say) -> int:
    """Run what runs once, start the services, and send the span; returns how many services got ready."""
    say(f"the image runs as {containers.account()}")
    for block in compose.in_order([block for block in found.values() if block.once]):
        say(f"{block.name}: {containers.run_once(block)}")
    services = [block for block in found.values() if not block.once]
    try:
        for block in services:
            containers.start(block)
        say(f"{len(services)} services started; waiting until their health checks agree")
        containers.wait(services, READY_SECONDS, say)
        _follow_a_span(found["trace_consumer"], ports, say)
    finally:
        containers.stop()
    say("the containers are stopped and removed")
    return len(services)


def _follow_a_span(reader: Block, ports: Ports, say: Say) -> None:
    trace = span.send(f"http://{ports.address('otlp_http')}")
    store = ClickHouse(ClickHouseAddress.parse(reader.environment["CLICKHOUSE_URL"], reader.environment), 1)
    begun = time.monotonic()
    try:
        if not span.found(store, reader.environment[TENANT], trace, SPAN_SECONDS):
            raise SmokeFailed(f"the span of trace {trace} was not in ClickHouse after {SPAN_SECONDS:.0f} s")
    finally:
        store.close()
    say(f"a span sent by OTLP/HTTP was in ClickHouse {time.monotonic() - begun:.1f} s later")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="image-smoke-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _storage(say: Say) -> Iterator[Storage]:
    folder = Path(tempfile.mkdtemp(prefix="image-smoke-storage-"))
    storage = Storage(folder)
    try:
        yield storage
    finally:
        say("removing the images")
        for program in ("buildah", "podman"):  # they have mounted things in it
            subprocess.run(
                [*storage.command(program), "rm" if program == "buildah" else "umount", "--all"],
                capture_output=True, timeout=60, check=False,
            )  # fmt: skip
        shutil.rmtree(folder)


def main() -> int:
    """Say what is done with the time, and at the end the result; exit code 1 with what failed."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.image_smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mirror", default=os.environ.get("DEBIAN_MIRROR", ""), help="of Debian; default: its own")
    parser.add_argument("--no-pull", action="store_true", help="do not try to pull python:3.11-slim")
    options = parser.parse_args()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through every `finally`

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)

    try:
        result = smoke(options, say)
    except (IncidentScopeError, OSError, psycopg.Error, httpx.HTTPError, subprocess.TimeoutExpired) as exc:
        print(f"image-smoke: failed: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("image-smoke: interrupted; what it had started is stopped", file=sys.stderr)
        return 130
    print(result.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
