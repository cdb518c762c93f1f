"""The stack as one object: what it is made of, how it comes up and goes down."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from infra.local import conflicts, credentials, disk, processes, schema, services, state
from infra.local.clickhouse import PROJECT, ClickHouse
from infra.local.errors import LocalStackError
from infra.local.kafka import Kafka
from infra.local.part import HOME_VARIABLE, PART_VARIABLE, Part, Say
from infra.local.ports import HOST, Ports
from infra.local.postgres import Postgres
from infra.local.processes import Command, Identity
from infra.local.starting import Starter

INFRASTRUCTURE = ("kafka", "postgres", "clickhouse")
START_SECONDS = 120.0
CLEARING_SECONDS = 10.0
SUPERVISOR_SECONDS = 5.0
NOT_FOR_SERVICES = {"INCIDENTSCOPE_API_KEY", "POSTGRES_SERVICE_URL"}
FORGOTTEN = "a part the state does not name"
DATA = ("kafka", "postgres", "clickhouse", "services", "logs", "state.json", "secrets.json", "tenants.json", "lock")


def default_home(environment: Mapping[str, str]) -> Path:
    """Return INCIDENTSCOPE_HOME, else `.local/` beside the source."""
    return Path(environment.get(HOME_VARIABLE) or PROJECT / ".local").absolute()


class Stack:
    """Every part on 127.0.0.1 with its data under `home`. `say` gets one line for each step of a start or stop."""

    def __init__(
        self, home: Path, chosen: Ports | None = None, *, environment: Mapping[str, str] = os.environ, say: Say = print
    ) -> None:
        self.home = home.resolve()
        self.ports = chosen or Ports.remembered(state.load(self.home).ports)
        marks = {HOME_VARIABLE: str(self.home), PART_VARIABLE: "preparation"}
        self._inherited = {**environment, "PYTHONUNBUFFERED": "1", **marks}
        self._credentials: credentials.Credentials | None = None
        self._say = say
        self._lock = threading.Lock()

    @property
    def credentials(self) -> credentials.Credentials:
        """Return the secrets of this home, made when first asked for."""
        if self._credentials is None:
            self._credentials = credentials.ensure(self.home)
        return self._credentials

    @property
    def kafka_bootstrap(self) -> str:
        """Return Kafka's address."""
        return self._kafka().bootstrap

    @property
    def postgres_url(self) -> str:
        """Return Postgres' address, with its password."""
        return self._postgres().url()

    @property
    def postgres_service_url(self) -> str:
        """Return Postgres' address for services, with the password of their role."""
        return self._postgres().service_url

    @property
    def clickhouse_url(self) -> str:
        """Return ClickHouse's address."""
        return self._clickhouse().url

    @property
    def addresses(self) -> dict[str, str]:
        """Return the variables that point a program at this stack and let it in."""
        secret = self.credentials
        return {
            "KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "POSTGRES_URL": self.postgres_url,
            "POSTGRES_SERVICE_URL": self.postgres_service_url,
            "CLICKHOUSE_URL": self.clickhouse_url,
            "OTLP_GRPC_TARGET": self.ports.address("otlp_grpc"),
            "OTLP_HTTP_URL": f"http://{self.ports.address('otlp_http')}",
            "ALERT_ROUTER_URL": f"http://{self.ports.address('alert_router')}",
            "DEPLOY_WEBHOOK_URL": f"http://{self.ports.address('deploy_http')}",
            "INCIDENT_GRPC_TARGET": self.ports.address("incident_grpc"),
            "DEPLOY_GRPC_TARGET": self.ports.address("deploy_grpc"),
            "CONSOLE_URL": f"http://{self.ports.address('console')}",
            "GITHUB_WEBHOOK_SECRET": secret.github_webhook_secret,
            "ARGOCD_WEBHOOK_TOKEN": secret.argocd_webhook_token,
            "WEBHOOK_ROOT_SECRET": secret.webhook_root_secret,
            "GITLAB_WEBHOOK_TOKEN": secret.gitlab_webhook_token,
            "GENERIC_WEBHOOK_SECRET": secret.generic_webhook_secret,
            "INCIDENTSCOPE_API_KEY": secret.api_key,
            "INCIDENTSCOPE_HOME": str(self.home),
        }

    @property
    def service_environment(self) -> dict[str, str]:
        """Return what every service is started with."""
        return {
            **self._inherited,
            **{name: value for name, value in self.addresses.items() if name not in NOT_FOR_SERVICES},
            "POSTGRES_URL": self.postgres_service_url,
            "INCIDENTSCOPE_SERVICE_SECRET": self.credentials.service_secret,
            "HOST": HOST,
            "INCIDENTSCOPE_ANONYMOUS_TENANT": credentials.TENANT,
            "INCIDENTSCOPE_TRUST_TENANT_HEADER": "true",
        }

    def parts(self) -> dict[str, Part]:
        """Return every part by name, in the order of their start."""
        infrastructure = [self._kafka().part(), self._postgres().part(), self._clickhouse().part()]
        environment = self.service_environment
        suite = [services.part(service, self.ports, environment) for service in services.SERVICES]
        return {part.name: part for part in [*infrastructure, *suite]}

    def _kafka(self) -> Kafka:
        return Kafka(self.home, self.ports, self._inherited)

    def _postgres(self) -> Postgres:
        secret = self.credentials
        return Postgres(
            self.home, self.ports, self._inherited, secret.postgres_password, secret.postgres_service_password
        )

    def _clickhouse(self) -> ClickHouse:
        return ClickHouse(self.home, self.ports, self._inherited)

    def log_of(self, part: str) -> Path:
        """Return where a part's output goes."""
        return self.home / "logs" / f"{part}.log"

    def select(self, only: Collection[str] | None = None, infra_only: bool = False) -> list[Part]:
        """Return the parts meant; raises LocalStackError for a name that is none."""
        known = self.parts()
        unknown = sorted(set(only or ()) - set(known))
        if unknown:
            raise LocalStackError(f"there is no part named {unknown[0]!r}; choose from {', '.join(known)}")
        names = set(only) if only is not None else set(known)
        if infra_only:
            names &= set(INFRASTRUCTURE)
        return [part for name, part in known.items() if name in names]

    def up(
        self,
        only: Collection[str] | None = None,
        infra_only: bool = False,
        timeout_seconds: float = START_SECONDS,
        *,
        bare: bool = False,
        mend: bool = False,
    ) -> None:
        """Start what is missing and return when all that was asked for is ready; `bare` leaves schema and topics out.

        `mend` starts parts again that died: schema and topics are there, and how often they died is not forgotten.
        `timeout_seconds` is for each part to get ready, not for fetching packages. Raises LocalStackError.
        """
        _require_folder(self.home)
        disk.require_room(self.home)
        with state.locked(self.home):
            begun = time.monotonic()
            selected = self.select(only, infra_only)
            memory = state.load(self.home)
            running = {name: i for name, i in memory.processes.items() if processes.alive(i)}
            missing = [part for part in selected if part.name not in running]
            self._require_same_ports(memory, running)
            self._require_free_ports(memory, running, missing)
            memory.restarts = memory.restarts if mend else {}
            self._remember(memory, selected)
            self._start(selected, memory, running, timeout_seconds, bare or mend)
            first = len(missing) == len(selected) or memory.ready_seconds is None
            if missing and first and not mend:  # mending does not count
                memory.ready_seconds = round(time.monotonic() - begun, 1)
                state.save(self.home, memory)

    def _require_free_ports(self, memory: state.State, running: Collection[str], missing: Sequence[Part]) -> None:
        # A part that was killed a moment ago may hold its ports until the system has cleared it away.
        patience = CLEARING_SECONDS if len(running) < len(memory.processes) else 0.0
        names = [name for part in missing for name in part.ports]
        conflicts.require_free(self.ports, names, self._inherited, patience, running=bool(running))

    def _require_same_ports(self, memory: state.State, running: Collection[str]) -> None:
        for name, part in self.parts().items():
            moved = [p for p in part.ports if memory.ports.get(p, self.ports[p]) != self.ports[p]]
            if name in running and moved:
                raise LocalStackError(
                    f"{name} already runs on port {memory.ports[moved[0]]}: "
                    f"run `down` first to move it to {self.ports[moved[0]]}"
                )

    def _remember(self, memory: state.State, selected: Sequence[Part]) -> None:
        memory.ports = dict(self.ports.numbers)
        memory.wanted = [name for name in self.parts() if name in memory.wanted or name in {p.name for p in selected}]
        state.save(self.home, memory)

    def _start(
        self,
        selected: Sequence[Part],
        memory: state.State,
        running: Mapping[str, Identity],
        timeout_seconds: float,
        bare: bool,
    ) -> None:
        def record(name: str, identity: Identity) -> None:
            with self._lock:
                memory.processes[name] = identity
                state.save(self.home, memory)

        starter = Starter(self.log_of, self._mark, record, self._say_line, timeout_seconds)
        starter.bring_up([p for p in selected if p.name in INFRASTRUCTURE], running)
        if not bare:
            self.apply_schema([p.name for p in selected])
        starter.bring_up([p for p in selected if p.name not in INFRASTRUCTURE], running)

    def _say_line(self, text: str) -> None:
        with self._lock:
            self._say(text)

    def _mark(self, part: str, command: Command) -> Command:
        return replace(command, environment={**command.environment, PART_VARIABLE: part})

    def apply_schema(self, parts: Iterable[str] = INFRASTRUCTURE) -> None:
        """Run migrations and create topics, as far as these parts allow."""
        modules = schema.programs_for(parts)
        if not modules:
            return
        environment = self._owner_environment
        with ThreadPoolExecutor(len(modules)) as pool:
            tasks = [
                pool.submit(schema.apply, module, environment, self.log_of(module.rpartition(".")[2]))
                for module in modules
            ]
            for task in tasks:
                self._say_line(task.result())
        if schema.MIGRATE in modules:
            log, arguments = self.log_of("create_tenant"), (credentials.TENANT, *schema.FIRST_KEY)
            self._say_line(schema.apply(schema.CREATE_TENANT, environment, log, arguments))

    @property
    def _owner_environment(self) -> dict[str, str]:
        """Return what programs are run with that change the schema, tenants and keys."""
        return {
            **self.service_environment,
            "POSTGRES_OWNER_URL": self.postgres_url,
            "POSTGRES_SERVICE_PASSWORD": self.credentials.postgres_service_password,
            "INCIDENTSCOPE_API_KEY": self.credentials.api_key,
        }

    def down(self, wipe: bool = False) -> list[str]:
        """Stop everything that was started from this home, return the names; with `wipe` delete its data too."""
        if not self.home.exists():  # deleted by hand, perhaps while things ran
            self._stop([(FORGOTTEN, i) for i in self._strays()])
            return []
        if (supervisor := state.load(self.home).supervisor) is not None:  # else it would start again what is stopped
            processes.end_alone(supervisor, SUPERVISOR_SECONDS)
        with state.locked(self.home):
            memory = state.load(self.home)
            running = {name: i for name, i in memory.processes.items() if processes.alive(i)}
            self._stop([(n, i) for n, i in running.items() if n not in INFRASTRUCTURE])
            self._stop([(n, i) for n, i in running.items() if n in INFRASTRUCTURE])
            self._stop([(FORGOTTEN, i) for i in self._strays()])
            memory.processes, memory.wanted, memory.restarts, memory.supervisor = {}, [], {}, None
            state.save(self.home, memory)
            if wipe:
                self._wipe()
        return list(running)

    def _strays(self) -> list[Identity]:
        found = processes.marked({HOME_VARIABLE: str(self.home)})
        return [identity for identity in found if _is_part(identity.pid)]

    def _stop(self, running: Sequence[tuple[str, Identity]]) -> None:
        if not running:
            return
        known = self.parts() if self.home.exists() else {}

        def stop(name: str, identity: Identity) -> None:
            part = known.get(name)
            number, grace = (part.stop_signal, part.grace_seconds) if part else (signal.SIGTERM, 5.0)
            clean = processes.stop(identity, number, grace)
            self._say_line(f"{name}: stopped" if clean else f"{name}: killed after {grace:.0f} s")

        with ThreadPoolExecutor(len(running)) as pool:
            for task in [pool.submit(stop, name, identity) for name, identity in running]:
                task.result()

    def _wipe(self) -> None:
        for name in DATA:
            path = self.home / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody keeps other files there
            self.home.rmdir()
        self._credentials = None


def _is_part(pid: int) -> bool:
    import psutil

    try:
        return PART_VARIABLE in psutil.Process(pid).environ()
    except (psutil.Error, OSError):
        return False


def _require_folder(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise LocalStackError(f"{home} cannot be used ({exc.strerror}): choose another folder with --home") from exc
    if not os.access(home, os.W_OK | os.X_OK):
        raise LocalStackError(f"{home} cannot be written: choose another folder with --home")
