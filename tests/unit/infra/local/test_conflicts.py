"""Ports held by real programs: our own, others', and parts of another stack."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from infra.local import conflicts, ports
from infra.local.errors import LocalStackError
from infra.local.ports import DEFAULTS, HOST, Ports

HOLDS = (
    "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
)  # fmt: skip


@contextlib.contextmanager
def program(**environment: str) -> Iterator[tuple[int, int]]:
    """Yield the pid of another program and the port it listens on."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], env={**os.environ, **environment}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())
        process.communicate("end\n")


def refusal(chosen: Ports, *names: str, running: bool = False, **environment: str) -> str:
    with pytest.raises(LocalStackError) as caught:
        conflicts.require_free(chosen, names, environment, running=running)
    return str(caught.value)


def test_free_ports_are_fine() -> None:
    conflicts.require_free(Ports.free(), DEFAULTS, {})


def test_all_ports_in_use_are_told_at_once_with_their_holders_and_the_way_out() -> None:
    with program() as (pid, kafka), socket.create_server((HOST, 0)) as ours:
        console = ours.getsockname()[1]
        lines = refusal(
            Ports.free().with_numbers({"kafka": kafka, "console": console}), "kafka", "postgres", "console"
        ).splitlines()
    assert lines[:3] == [
        "2 ports are in use, nothing was started:",
        f"  port {kafka} (kafka): {psutil.Process().name()} (pid {pid})",
        f"  port {console} (console): {psutil.Process().name()} (pid {os.getpid()})",
    ]
    way_out = r"stop what holds them, or move every port: INCIDENTSCOPE_PORT_OFFSET=\d+ make up"
    assert re.fullmatch(way_out, lines[3])


def test_where_parts_run_the_way_out_stops_them_first() -> None:
    with socket.create_server((HOST, 0)) as taken:
        told = refusal(Ports.free().with_numbers({"kafka": taken.getsockname()[1]}), "kafka", running=True)
    assert told.startswith("1 port is in use, nothing was started:\n")
    assert "move every port: make down && INCIDENTSCOPE_PORT_OFFSET=" in told


def test_a_part_of_another_stack_is_told_as_such() -> None:
    with program(INCIDENTSCOPE_HOME="/elsewhere", INCIDENTSCOPE_PART="console") as (pid, port):
        assert conflicts.holders([port])[port].endswith(
            f" (pid {pid}), console of the IncidentScope stack in /elsewhere"
        )


def test_another_users_program_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        hidden = [c._replace(pid=None) for c in psutil.net_connections("tcp")]  # what an ordinary user sees of them
        monkeypatch.setattr(psutil, "net_connections", lambda _kind: hidden)
        assert conflicts.holders([port]) == {port: "another user's program"}


def test_where_connections_are_not_shown_the_conflict_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refused)
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        told = refusal(Ports.free().with_numbers({"kafka": port}), "kafka")
    assert f"port {port} (kafka): a program that cannot be seen\n" in told


def test_a_port_that_is_held_without_listening_counts() -> None:
    with socket.socket() as held:
        held.bind((HOST, 0))
        port = held.getsockname()[1]
        assert f"port {port} (kafka)" in refusal(Ports.free().with_numbers({"kafka": port}), "kafka")


def test_the_offset_offered_has_every_port_free() -> None:
    first = conflicts.free_offset({})
    assert first is not None
    with socket.create_server((HOST, DEFAULTS["otlp_grpc"] + first)):
        following = conflicts.free_offset({})
    assert following is not None
    assert following != first
    assert not any(map(ports.in_use, Ports.defaults(following).numbers.values()))


def test_a_port_that_a_variable_sets_is_told_with_it_and_offered_no_offset_that_cannot_help() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        chosen = Ports.free().with_numbers({"kafka": port})
        told = refusal(chosen, "kafka", KAFKA_PORT=str(port))
    assert f"port {port} (kafka, set by KAFKA_PORT): " in told
    assert told.endswith("or choose other ports: KAFKA_PORT=<number> and so on, or --port NAME=<number>")


def test_a_port_that_is_let_go_in_time_is_no_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = socket.create_server((HOST, 0))
    chosen = Ports.free().with_numbers({"kafka": taken.getsockname()[1]})
    monkeypatch.setattr(time, "sleep", lambda _seconds: taken.close())
    conflicts.require_free(chosen, ["kafka"], {}, patience_seconds=30)
