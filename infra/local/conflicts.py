"""Ports that other programs hold: all of them at once, by whom, and an offset at which none is taken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Mapping

import psutil

from infra.local import ports
from infra.local.errors import LocalStackError
from infra.local.part import HOME_VARIABLE, PART_VARIABLE
from infra.local.ports import HIGHEST_OFFSET, HOST, OFFSET_VARIABLE, Ports

POLL_SECONDS = 0.1
OFFSETS: tuple[int, ...] = (*range(1000, HIGHEST_OFFSET, 1000), *range(100, HIGHEST_OFFSET, 100))
_SAME_PLACE = {HOST, f"::ffff:{HOST}", "0.0.0.0", "::"}  # noqa: S104  # what is held there is held on loopback too
UNSEEN = "a program that cannot be seen"


def require_free(
    chosen: Ports,
    names: Iterable[str],
    environment: Mapping[str, str],
    patience_seconds: float = 0.0,
    *,
    running: bool = False,
) -> None:
    """Raise LocalStackError that tells every port that is taken, and stays so for that long, and the way out.

    `running` says that other parts of the stack run, which have to be stopped before ports can be moved.
    """
    wanted, deadline = list(names), time.monotonic() + patience_seconds
    while (taken := [name for name in wanted if ports.in_use(chosen[name])]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if taken:
        raise LocalStackError(_told(chosen, taken, environment, running))


def _told(chosen: Ports, taken: Collection[str], environment: Mapping[str, str], running: bool) -> str:
    who = holders([chosen[name] for name in taken])
    lines = [f"  port {chosen[name]} ({name}{_asked(name, environment)}): {who[chosen[name]]}" for name in taken]
    head = "1 port is in use" if len(taken) == 1 else f"{len(taken)} ports are in use"
    return "\n".join([f"{head}, nothing was started:", *lines, _way_out(environment, running)])


def _asked(name: str, environment: Mapping[str, str]) -> str:
    return f", set by {ports.variable(name)}" if environment.get(ports.variable(name)) else ""


def _way_out(environment: Mapping[str, str], running: bool) -> str:
    offset = free_offset(environment)
    if offset is None:
        return "stop what holds them, or choose other ports: KAFKA_PORT=<number> and so on, or --port NAME=<number>"
    before = "make down && " if running else ""
    return f"stop what holds them, or move every port: {before}{OFFSET_VARIABLE}={offset} make up"


def free_offset(environment: Mapping[str, str]) -> int | None:
    """Return an offset at which every port is free, with the ports that variables set; None when there is none."""
    for offset in OFFSETS:
        with contextlib.suppress(LocalStackError):  # a port that a variable sets is among the moved ones
            moved = ports.choose(environment, {}, offset)
            if not any(map(ports.in_use, moved.numbers.values())):
                return offset
    return None


def holders(numbers: Collection[int]) -> dict[int, str]:
    """Return who holds each port: `java (pid 4711)`, and of which stack when it belongs to one."""
    found: dict[int, int | None] = {}
    with contextlib.suppress(psutil.AccessDenied, OSError):  # macOS shows them to root only
        for connection in psutil.net_connections("tcp"):
            ip, number = connection.laddr or ("", 0)
            listens = connection.status == psutil.CONN_LISTEN
            if number in numbers and ip in _SAME_PLACE and (listens or number not in found):
                found[number] = connection.pid
    return {number: _described(found[number]) if number in found else UNSEEN for number in numbers}


def _described(pid: int | None) -> str:
    if pid is None:
        return "another user's program"
    try:
        process = psutil.Process(pid)
        text = f"{process.name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"
    with contextlib.suppress(psutil.Error, OSError):
        marks = process.environ()
        if PART_VARIABLE in marks:
            return f"{text}, {marks[PART_VARIABLE]} of the IncidentScope stack in {marks.get(HOME_VARIABLE)}"
    return text
