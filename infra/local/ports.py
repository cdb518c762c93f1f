"""Which TCP port each part listens on: given, else remembered, else the default."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import psutil

from infra.local.errors import LocalStackError

HOST = "127.0.0.1"
_QUIET_PORTS = (10_240, 32_000)
HIGHEST = 65535

DEFAULTS: Mapping[str, int] = {
    "kafka": 9092,
    "kafka_controller": 9095,
    "postgres": 5433,
    "clickhouse_native": 9000,
    "clickhouse_http": 8123,
    "otlp_grpc": 4317,
    "otlp_http": 4318,
    "log_consumer": 9101,
    "metric_consumer": 9102,
    "trace_consumer": 9103,
    "anomaly_detector": 9104,
    "alert_router": 9093,  # Alertmanager's
    "incident_service": 9106,
    "incident_grpc": 50051,
    "deploy_http": 8081,
    "deploy_grpc": 50052,
    "correlation_engine": 9108,
    "console": 8080,
}
OFFSET_VARIABLE = "INCIDENTSCOPE_PORT_OFFSET"


@dataclass(frozen=True, slots=True)
class Ports:
    """A port for every name of DEFAULTS."""

    numbers: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def address(self, name: str) -> str:
        """Return `127.0.0.1:<port>`."""
        return f"{HOST}:{self.numbers[name]}"

    def with_numbers(self, given: Mapping[str, int]) -> Ports:
        """Return these ports with some replaced; raises LocalStackError when two are the same."""
        return replace(self, numbers=_distinct({**self.numbers, **given}))

    @classmethod
    def defaults(cls, offset: int = 0) -> Ports:
        """Return the default ports, all moved by `offset`; raises LocalStackError when one leaves 1..65535."""
        return cls(_distinct({name: number + offset for name, number in DEFAULTS.items()}))

    @classmethod
    def free(cls) -> Ports:
        """Return ports nobody listens on at this moment.

        They lie below the range from which systems take the ports of outgoing connections (Linux from 32768, others
        from 49152): those come and go at any moment, also between this choice and a server's start.
        """
        held: list[socket.socket] = []
        try:
            while len(held) < len(DEFAULTS):
                holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                with suppress(OSError):
                    holder.bind((HOST, random.SystemRandom().randrange(*_QUIET_PORTS)))
                    held.append(holder)
                    continue
                holder.close()
            return cls({name: int(s.getsockname()[1]) for name, s in zip(DEFAULTS, held, strict=True)})
        finally:
            for holder in held:
                holder.close()


def choose(
    environment: Mapping[str, str],
    remembered: Mapping[str, int],
    offset: int | None = None,
    given: Mapping[str, int] | None = None,
) -> Ports:
    """Settle every port: `given`, then its variable (KAFKA_PORT), then the offset, then what is remembered.

    Raises LocalStackError for a number that is none, out of range, or used twice.
    """
    if offset is None and environment.get(OFFSET_VARIABLE):
        offset = _number(OFFSET_VARIABLE, environment[OFFSET_VARIABLE])
    ports = Ports.defaults(offset or 0)
    if offset is None:
        ports = ports.with_numbers({n: p for n, p in remembered.items() if n in DEFAULTS})
    asked = {n: _number(variable(n), environment[variable(n)]) for n in DEFAULTS if environment.get(variable(n))}
    return ports.with_numbers({**asked, **(given or {})})


def variable(name: str) -> str:
    """Return the environment variable that sets a port."""
    return f"{name.upper()}_PORT"


def parse_assignment(text: str) -> tuple[str, int]:
    """Read `kafka=9192`; raises LocalStackError naming what is possible."""
    name, _, number = text.partition("=")
    if name not in DEFAULTS:
        raise LocalStackError(f"there is no port named {name!r}; choose one of {', '.join(DEFAULTS)}")
    return name, _number(name, number)


def in_use(number: int) -> bool:
    """Return whether something on this machine holds the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections are no obstacle
        try:
            probe.bind((HOST, number))
        except OSError:
            return True
    return False


def require_free(ports: Ports, names: Iterable[str], patience_seconds: float = 0.0) -> None:
    """Raise LocalStackError that tells all ports that are taken, and stay so for that long, and by which program."""
    deadline = time.monotonic() + patience_seconds
    taken = [name for name in names if in_use(ports[name])]
    while taken and time.monotonic() < deadline:
        time.sleep(0.1)
        taken = [name for name in taken if in_use(ports[name])]
    if taken:
        raise LocalStackError(_conflict(ports, taken))


def _conflict(ports: Ports, taken: Sequence[str]) -> str:
    holders = listeners()
    unseen = "a program of another user"
    held = "".join(f"\n  {ports[name]} ({name}) by {holders.get(ports[name], unseen)}" for name in taken)
    free = free_offset()
    move = f"{OFFSET_VARIABLE}={free} make up (all ports + {free}), or " if free is not None else ""
    one = f"one port: --port {taken[0]}=<number> or {variable(taken[0])}=<number>"
    return (
        f"{len(taken)} {'ports are' if len(taken) > 1 else 'port is'} in use:{held}\n"
        f"stop what holds them, or start elsewhere, which is remembered until the data is deleted: {move}{one}"
    )


def listeners() -> dict[int, str]:
    """Return the programs that listen on TCP ports, as far as this user may see them, as `name (pid 812)`."""
    found: dict[int, str] = {}
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid is not None:
            with suppress(psutil.Error):
                found[connection.laddr.port] = f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return found


def free_offset() -> int | None:
    """Return the smallest whole thousand at which every default port is free now; None when there is none."""
    highest = max(DEFAULTS.values())
    for offset in range(1000, HIGHEST - highest + 1, 1000):
        if not any(in_use(number + offset) for number in DEFAULTS.values()):
            return offset
    return None


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LocalStackError(f"{name} must be a whole number, not {text!r}") from None


def _distinct(numbers: Mapping[str, int]) -> Mapping[str, int]:
    owner: dict[int, str] = {}
    for name, number in numbers.items():
        if not 0 < number <= HIGHEST:
            raise LocalStackError(f"port {number} ({name}) is not between 1 and {HIGHEST}; choose another")
        if number in owner:
            raise LocalStackError(f"port {number} is given to both {owner[number]} and {name}; choose another for one")
        owner[number] = name
    return numbers
