"""What every part of the stack is, whatever it runs."""

from __future__ import annotations

import http.client
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from infra.local.ports import HOST
from infra.local.processes import Command

HOME_VARIABLE, PART_VARIABLE = "INCIDENTSCOPE_HOME", "INCIDENTSCOPE_PART"  # what every process of a stack carries
PROBE_SECONDS = 2.0
Say = Callable[[str], None]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack.

    `prepare` does what must be done before each start and returns what to run. `problem` returns None when the part
    is ready, else one phrase saying what is missing. `settle` runs after each start, once it is ready.
    """

    name: str
    ports: tuple[str, ...]  # names of the ports it listens on, the one to show first
    prepare: Callable[[Say], Command]
    problem: Callable[[], str | None]
    settle: Callable[[], None] = _nothing
    stop_signal: int = signal.SIGTERM
    grace_seconds: float = 20.0


def tcp_problem(port: int) -> str | None:
    """Return None when something accepts connections on the port."""
    try:
        socket.create_connection((HOST, port), timeout=PROBE_SECONDS).close()
    except OSError:
        return f"not listening on {HOST}:{port} yet"
    return None


def http_problem(port: int, path: str) -> str | None:
    """Return None when a GET answers 200, else what it answered."""
    connection = http.client.HTTPConnection(HOST, port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(500).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException):
        return f"{path} on {HOST}:{port} does not answer yet"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else f"{path} on {HOST}:{port} says {answer.status} {body}"
