"""Starting, recognising and stopping processes that outlive the command that started them.

A process is known by its pid and the moment it started, so a pid that was given to another program is never killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG_BYTES = 10 * 1024 * 1024  # a larger log is set aside at the next start
POLL_SECONDS = 0.05
_started_here: dict[int, subprocess.Popen[bytes]] = {}  # kept so that they can be reaped


@dataclass(frozen=True, slots=True)
class Identity:
    """One process: its pid and a mark of the moment it started that survives changes of the clock."""

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. `user` and `group` are ids to run as, when not those of the caller."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    user: int | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its children take: bytes of memory, and its age in seconds."""

    memory_bytes: int
    age_seconds: float


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process; None when there is none, or only a zombie."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Identity(pid, _start_mark(process))
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _start_mark(process: psutil.Process) -> str:
    if not sys.platform.startswith("linux"):
        return f"{process.create_time():.2f}"
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    ticks = stat.rpartition(")")[2].split()[19]  # field 22, counted from boot
    return f"{_boot_id()}:{ticks}"


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def alive(identity: Identity) -> bool:
    """Return whether this very process still runs."""
    child = _started_here.get(identity.pid)
    if child is not None and child.poll() is not None:
        return False
    return identify(identity.pid) == identity


def exit_code(identity: Identity) -> int | None:
    """Return how a process ended, when this command started it and it has ended."""
    child = _started_here.get(identity.pid)
    return child.poll() if child is not None else None


def spawn(command: Command, log: Path) -> Identity:
    """Start a process in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(command.argv), env=dict(command.environment), cwd=command.folder, stdin=subprocess.DEVNULL,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            user=command.user, group=command.group, extra_groups=None if command.user is None else [],
        )  # fmt: skip
    _started_here[child.pid] = child
    # One that has ended already is a zombie until polled; its mark then matters to nobody.
    return identify(child.pid) or Identity(child.pid, "ended")


def family(identity: Identity) -> list[psutil.Process]:
    """Return a running process and its descendants; empty when it does not run."""
    if not alive(identity):
        return []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(identity.pid)
        return [process, *process.children(recursive=True)]
    return []


def usage(identity: Identity) -> Usage | None:
    """Return what a process and its children take; None when it does not run."""
    members = family(identity)
    sizes = list(_sizes(members))
    if not sizes:
        return None
    private = sum(rss - shared for rss, shared in sizes)
    return Usage(private + max(shared for _, shared in sizes), time.time() - members[0].create_time())


def _sizes(members: Sequence[psutil.Process]) -> Iterator[tuple[int, int]]:
    for member in members:
        with contextlib.suppress(psutil.NoSuchProcess):
            memory = member.memory_info()
            yield memory.rss, getattr(memory, "shared", 0)


def stop(identity: Identity, number: int = signal.SIGTERM, grace_seconds: float = 20.0) -> bool:
    """End a process and its children: by signal, after the grace by SIGKILL. Returns whether it ended by itself."""
    members = family(identity)
    if not members:
        return True
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, number)
    clean = _gone_within(members, grace_seconds)
    for member in members:  # psutil checks the start time again before each signal
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    _gone_within(members, 10.0)
    return clean


def end_alone(identity: Identity, grace_seconds: float) -> None:
    """End a process by SIGTERM, after the grace by SIGKILL, and leave its children running."""
    deadline = time.monotonic() + grace_seconds
    number = signal.SIGTERM
    while alive(identity):
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, number)
        while alive(identity) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        number, deadline = signal.SIGKILL, time.monotonic() + 10.0


def _gone_within(members: Sequence[psutil.Process], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(_runs(m) for m in members):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _runs(member: psutil.Process) -> bool:
    child = _started_here.get(member.pid)
    if child is not None:
        child.poll()
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(member.is_running() and member.status() != psutil.STATUS_ZOMBIE)
    return False


def marked(variables: Mapping[str, str]) -> list[Identity]:
    """Return the running processes that were started with these environment variables."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            environment = process.environ()
            if process.pid != os.getpid() and all(environment.get(k) == v for k, v in variables.items()):
                found.append(identify(process.pid))
    return [identity for identity in found if identity is not None]
