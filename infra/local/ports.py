"""Which TCP port each part listens on: given, else remembered, else the default."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

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
LOWEST_OFFSET, HIGHEST_OFFSET = 1 - min(DEFAULTS.values()), HIGHEST - max(DEFAULTS.values())
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
        if not LOWEST_OFFSET <= offset <= HIGHEST_OFFSET:
            raise LocalStackError(
                f"with an offset of {offset} a port is not between 1 and {HIGHEST}: "
                f"use one from {LOWEST_OFFSET} to {HIGHEST_OFFSET}"
            )
        return cls(_distinct({name: number + offset for name, number in DEFAULTS.items()}))

    @classmethod
    def remembered(cls, numbers: Mapping[str, int]) -> Ports:
        """Return the ports that a home keeps; names of another version are left out, new ones have their default."""
        return cls.defaults().with_numbers({name: number for name, number in numbers.items() if name in DEFAULTS})

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
    offset = offset_in(environment) if offset is None else offset
    ports = Ports.remembered(remembered) if offset is None else Ports.defaults(offset)
    asked = {n: _number(variable(n), environment[variable(n)]) for n in DEFAULTS if environment.get(variable(n))}
    return ports.with_numbers({**asked, **(given or {})})


def offset_in(environment: Mapping[str, str]) -> int | None:
    """Return the offset that INCIDENTSCOPE_PORT_OFFSET asks for; raises LocalStackError when it is no number."""
    text = environment.get(OFFSET_VARIABLE)
    return _number(OFFSET_VARIABLE, text) if text else None


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
        with suppress(OSError):
            probe.bind((HOST, number))
            return False
    return True


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
