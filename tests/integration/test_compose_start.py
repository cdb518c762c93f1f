"""docker-compose.yml started with its own accounts and addresses, from the packages and files the image has.

Servers are those of the local stack, with the names and passwords the file gives them: user and database share one, and
the passwords hold what addresses have to escape. Only `host:port` is another.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psycopg
import pytest

from infra.local.ports import Ports
from libs.storage.clickhouse import ClickHouse
from libs.storage.clickhouse_address import ClickHouseAddress
from scripts.image import compose, servers, span
from scripts.image.compose import Block
from tests.integration import image_world
from tests.servers import home_folder

HARD = "p@ss/w:o#r?d%20&$x'"
PASSWORDS = {
    "POSTGRES_PASSWORD": HARD,
    "POSTGRES_SERVICE_PASSWORD": f"service {HARD}",
    "CLICKHOUSE_PASSWORD": f"clickhouse {HARD}",
}
READY_SECONDS = 90.0


@dataclass(frozen=True)
class World:
    blocks: dict[str, Block]
    ports: Ports
    python: Path
    app: Path
    logs: Path

    def run(self, block: Block, command: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run one of the file's commands to its end."""
        return subprocess.run(
            self._argv(command or block.command), env=self._environment(block), cwd=self.app, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip

    def start(self, block: Block) -> subprocess.Popen[bytes]:
        """Start one of the services."""
        with (self.logs / f"{block.name}.log").open("wb") as log:
            return subprocess.Popen(
                self._argv(block.command), env=self._environment(block), cwd=self.app, stdout=log, stderr=log
            )

    def healthy(self, block: Block) -> bool:
        """Ask as the file's health check does."""
        program, *arguments = block.health
        assert program == "python"
        ended = subprocess.run(
            [self.python, *arguments], env=self._environment(block), cwd=self.app, capture_output=True, check=False
        )
        return ended.returncode == 0

    def _argv(self, command: tuple[str, ...]) -> list[str]:
        return [str(self.python), "-m", *command]

    def _environment(self, block: Block) -> dict[str, str]:
        return {**image_world.environment(self.app, self.python), **block.environment}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("image")
    python = image_world.runtime_python(folder / "venv")
    app = image_world.copied(folder / "app")
    with home_folder() as home, servers.running(home, lambda _line: None, {**_plain(), **PASSWORDS}) as ports:
        found = compose.at_local_addresses(compose.blocks(PASSWORDS), ports)
        yield World(found, ports, python, app, folder)


def _plain() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PASSWORDS}


@pytest.fixture(scope="module")
def migrated(world: World) -> World:
    for name in ("migrate", "tenant", "topics"):
        ended = world.run(world.blocks[name])
        assert ended.returncode == 0, ended.stdout + ended.stderr
    return world


@pytest.fixture(scope="module")
def started(migrated: World) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for block in migrated.blocks.values():
            if not block.once:
                processes[block.name] = migrated.start(block)
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_the_commands_that_run_once_change_nothing_the_second_time(migrated: World) -> None:
    said = {name: migrated.run(migrated.blocks[name]) for name in ("migrate", "tenant", "topics")}

    assert [ended.returncode for ended in said.values()] == [0, 0, 0]
    assert "0 applied" in said["migrate"].stdout
    assert "exists already" in said["tenant"].stdout
    assert "0 created" in said["topics"].stdout


def test_a_key_is_made_by_the_command_the_file_names(migrated: World) -> None:
    command = ("scripts.access_keys", "create", "default", "--name", "Ana", "--role", "admin")

    ended = migrated.run(migrated.blocks["tenant"], command)

    assert ended.returncode == 0, ended.stderr


def test_the_owner_of_postgres_is_who_the_file_says_and_services_are_somebody_else(migrated: World) -> None:
    with psycopg.connect(
        migrated.blocks["migrate"].environment["POSTGRES_OWNER_URL"], password=PASSWORDS["POSTGRES_PASSWORD"]
    ) as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (
            "incidentscope",
            "incidentscope",
        )
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'incident'")
        assert owners.fetchall() == [("incidentscope",)]


def test_a_wrong_password_is_one_sentence_that_does_not_hold_it(migrated: World) -> None:
    block = migrated.blocks["migrate"]
    wrong = replace(block, environment={**block.environment, "PGPASSWORD": "wr0ng"})

    ended = migrated.run(wrong)

    assert ended.returncode == 1
    assert ended.stderr.startswith("migrate: ")
    assert "password authentication failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "wr0ng" not in ended.stderr


def test_every_service_gets_healthy_and_a_span_is_found(
    migrated: World, started: dict[str, subprocess.Popen[bytes]]
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    waiting = set(started)
    while waiting:
        name = min(waiting)
        log = (migrated.logs / f"{name}.log").read_text
        assert started[name].poll() is None, f"{name} ended: {log()[-3000:]}"
        assert time.monotonic() < deadline, f"{sorted(waiting)} not ready; {name}: {log()[-3000:]}"
        if migrated.healthy(migrated.blocks[name]):
            waiting.discard(name)

    trace = span.send(f"http://{migrated.ports.address('otlp_http')}")

    settings = migrated.blocks["trace_consumer"].environment
    store = ClickHouse(ClickHouseAddress.parse(settings["CLICKHOUSE_URL"], settings), 1)
    assert span.found(store, "default", trace, seconds=30)
    store.close()


def test_what_has_no_secret_is_refused_in_plain_words(
    migrated: World, started: dict[str, subprocess.Popen[bytes]]
) -> None:
    address = f"http://{migrated.ports.address('deploy_http')}/webhooks/default/github"

    answer = httpx.post(address, json={}, headers={"x-github-event": "push"}, trust_env=False)

    assert answer.status_code == 503
    assert "no secret is configured" in answer.text


def test_what_the_image_lacks_is_not_there_either(world: World) -> None:
    absent = ("pytest", "pip", "psutil", "chdb", "opentelemetry.sdk", "infra.local")
    there = "u.find_spec(n.partition('.')[0]) and u.find_spec(n)"
    program = f"import importlib.util as u; print([n for n in {absent} if {there}])"

    ended = subprocess.run(
        [world.python, "-c", program], env=image_world.environment(world.app, world.python), cwd=world.app,
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ended.stdout == "[]\n"
