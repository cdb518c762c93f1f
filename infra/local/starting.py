"""Starting parts side by side and waiting until each is ready."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from infra.local import processes
from infra.local.errors import LocalStackError, PartFailed
from infra.local.part import Part, Say
from infra.local.processes import Command, Identity

POLL_SECONDS = 0.15
REMIND_SECONDS = 10.0
Record = Callable[[str, Identity], None]


@dataclass(slots=True)
class Starter:
    """Starts what does not run. `record` is told of every process at once, so that `down` can find it."""

    log_of: Callable[[str], Path]
    mark: Callable[[str, Command], Command]
    record: Record
    say: Say
    timeout_seconds: float
    _given_up: threading.Event = field(default_factory=threading.Event)

    def bring_up(self, parts: Sequence[Part], running: Mapping[str, Identity]) -> None:
        """Start the parts that do not run and wait for all; raises the first failure after the others are done."""
        if not parts:
            return
        with ThreadPoolExecutor(len(parts)) as pool:
            tasks = [pool.submit(self._bring_up_one, part, running.get(part.name)) for part in parts]
            try:
                failures = [error for task in tasks if (error := task.exception()) is not None]
            except BaseException:
                self._given_up.set()
                raise
        for error in failures[1:]:
            self.say(str(error))
        if failures:
            raise failures[0]

    def _bring_up_one(self, part: Part, identity: Identity | None) -> None:
        def say(text: str) -> None:
            self.say(f"{part.name}: {text}")

        if identity is not None:
            self._wait(part, identity, say)
            return
        command = self.mark(part.name, part.prepare(say))
        begun = time.monotonic()
        started = self._spawn(part, command)
        self._wait(part, started, say)
        part.settle()
        say(f"ready ({time.monotonic() - begun:.1f} s)")

    def _spawn(self, part: Part, command: Command) -> Identity:
        try:
            identity = processes.spawn(command, self.log_of(part.name))
        except OSError as exc:
            raise LocalStackError(f"{part.name} could not be started ({exc}): check {command.argv[0]}") from exc
        self.record(part.name, identity)
        return identity

    def _wait(self, part: Part, identity: Identity, say: Say) -> None:
        begun = time.monotonic()
        remind = begun + REMIND_SECONDS
        while (problem := part.problem()) is not None:
            if not processes.alive(identity):
                raise PartFailed(part.name, _how_it_ended(identity), self.log_of(part.name))
            waited = time.monotonic() - begun
            if waited > self.timeout_seconds:
                raise PartFailed(part.name, f"was not ready after {waited:.0f} s ({problem})", self.log_of(part.name))
            if time.monotonic() > remind:
                say(f"still starting, {waited:.0f} s ({problem})")
                remind += REMIND_SECONDS
            if self._given_up.wait(POLL_SECONDS):
                raise LocalStackError(f"{part.name}: interrupted while it was starting")
        if not processes.alive(identity):  # it was another program that answered
            raise PartFailed(part.name, _how_it_ended(identity), self.log_of(part.name))


def _how_it_ended(identity: Identity) -> str:
    code = processes.exit_code(identity)
    return "stopped while it was starting" + (f" (exit code {code})" if code is not None else "")
