"""Starts parts again that died, later each time: `python -m infra.local supervise`, which `up` starts."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infra.local import processes, state
from infra.local.clickhouse import PROJECT
from infra.local.errors import LocalStackError, PartFailed, tail
from infra.local.part import HOME_VARIABLE, PART_VARIABLE
from infra.local.processes import Command, Identity
from infra.local.stack import Stack
from infra.local.state import Restart

NAME = "supervisor"
LOOK_SECONDS = 1.0
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
STABLE_SECONDS = 300.0  # a part that ran this long has recovered: its next death is its first
READY_SECONDS = 60.0
GRACE_SECONDS = 5.0


@dataclass(slots=True)
class Backoff:
    """When a part that dies again and again is started again. Times are seconds of any steady clock."""

    deaths: int = 0
    started_at: float | None = None
    due_at: float | None = None

    def died(self, now: float) -> float:
        """Take note of a death and return the seconds until the next start."""
        if self.started_at is not None and now - self.started_at >= STABLE_SECONDS:
            self.deaths = 0
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(self.deaths, 10))
        self.deaths += 1
        self.due_at = now + delay
        return delay

    def started(self, now: float) -> None:
        """Take note of a start."""
        self.started_at, self.due_at = now, None


@dataclass(slots=True)
class Supervisor:
    """Looks after the parts that the last `up`s asked for. What `down` stopped is not wanted any more."""

    home: Path
    start: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _backoffs: dict[str, Backoff] = field(default_factory=dict)

    def look(self) -> None:
        """Look at every part once: note deaths, and start what is due."""
        memory = state.load(self.home)
        for name in memory.wanted:
            backoff = self._backoffs.setdefault(name, Backoff())
            identity = memory.processes.get(name)
            if identity is not None and processes.alive(identity):
                backoff.due_at = None
            elif backoff.due_at is None:
                self._note(name, how_it_ended(self.home, name, identity), backoff.died(self.clock()))
            elif self.clock() >= backoff.due_at:
                self._start(name, backoff)

    def _start(self, name: str, backoff: Backoff) -> None:
        backoff.started(self.clock())
        try:
            self.start(name)
        except PartFailed as exc:  # if it has ended, the next look notes how
            _say(exc)
        except LocalStackError as exc:
            self._note(name, f"cannot be started: {exc}", backoff.died(self.clock()))

    def _note(self, name: str, why: str, delay: float) -> None:
        _say(f"{datetime.now(UTC):%H:%M:%S} {name} {why}; starting it again in {delay:.0f} s")
        with state.locked(self.home):
            memory = state.load(self.home)
            past = memory.restarts.get(name)
            memory.restarts[name] = Restart(past.times + 1 if past else 1, why, datetime.now(UTC).isoformat())
            state.save(self.home, memory)


def how_it_ended(home: Path, name: str, identity: Identity | None) -> str:
    """Return one phrase on a part that does not run: how it ended, where that is known, and what it logged last."""
    code = processes.exit_code(identity) if identity is not None else None
    how = "died" if code is None else f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = tail(home / "logs" / f"{name}.log", 1)
    return f"{how}, last logged: {last[0][:200]}" if last else f"{how}, nothing logged"


def run(home: Path) -> None:
    """Look after a home's parts for ever."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def start(name: str) -> None:
        Stack(home, say=lambda text: print(text, flush=True)).up([name], timeout_seconds=READY_SECONDS, mend=True)

    supervisor, me = Supervisor(home, start), processes.identify(os.getpid())
    time.sleep(LOOK_SECONDS)  # until `launch` has taken note of this process
    while home.exists():
        try:
            if state.load(home).supervisor != me:
                return  # another one was started in its place
            supervisor.look()
        except LocalStackError as exc:  # an `up` or `down` is at work, or the state is damaged: `status` tells
            _say(exc)
        except OSError as exc:  # above all a full disk: nothing can be noted, and all comes back once there is room
            _say(exc)
        time.sleep(LOOK_SECONDS)


def _say(what: object) -> None:
    with contextlib.suppress(OSError):  # the log lies on the same disk
        print(what, flush=True)


def launch(home: Path) -> None:
    """Start the supervisor of a home in the background; one that was started before it ends by itself."""
    environment = {**os.environ, HOME_VARIABLE: str(home), PART_VARIABLE: NAME, "PYTHONUNBUFFERED": "1"}
    command = Command([sys.executable, "-m", "infra.local", "supervise", "--home", str(home)], environment, PROJECT)
    with state.locked(home):
        memory = state.load(home)
        memory.supervisor = processes.spawn(command, home / "logs" / f"{NAME}.log")
        state.save(home, memory)


def quit_running(home: Path) -> None:
    """End the supervisor of a home, if one runs; the parts it started go on."""
    identity = state.load(home).supervisor
    if identity is not None:
        processes.end_alone(identity, GRACE_SECONDS)
