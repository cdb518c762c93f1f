"""What a home folder remembers: its ports, the processes started, and how long the last start took."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from infra.local.errors import LocalStackError
from infra.local.processes import Identity

LOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Restart:
    """How often a part died since `up`, why it did the last time, and when that was seen (ISO 8601)."""

    times: int
    why: str
    at: str


@dataclass(slots=True)
class State:
    """`<home>/state.json`. `wanted` are the parts the last `up`s asked for; `processes` those started."""

    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Identity] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    ready_seconds: float | None = None
    supervisor: Identity | None = None
    restarts: dict[str, Restart] = field(default_factory=dict)


def load(home: Path) -> State:
    """Read the state, empty when there is none; raises LocalStackError when the file is damaged."""
    path = _path(home)
    try:
        return _decode(json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return State()
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise LocalStackError(
            f"{path} is damaged ({exc}): stop what runs from {home} by hand, then delete that file"
        ) from exc


def _decode(raw: dict[str, Any]) -> State:
    return State(
        ports={str(name): int(number) for name, number in raw["ports"].items()},
        processes={str(n): _identity(i) for n, i in raw["processes"].items()},
        wanted=[str(name) for name in raw["wanted"]],
        ready_seconds=None if raw["ready_seconds"] is None else float(raw["ready_seconds"]),
        supervisor=_identity(raw["supervisor"]) if raw.get("supervisor") else None,
        restarts={
            str(n): Restart(int(r["times"]), str(r["why"]), str(r["at"])) for n, r in raw.get("restarts", {}).items()
        },
    )


def _identity(raw: dict[str, Any]) -> Identity:
    return Identity(int(raw["pid"]), str(raw["started"]))


def save(home: Path, state: State) -> None:
    """Write the state so that a reader sees the old or the new one, never half of it."""
    write_atomically(_path(home), json.dumps(asdict(state), indent=2) + "\n")


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file's content in one step, readable as `mode` says from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)


def _path(home: Path) -> Path:
    return home / "state.json"


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold the home folder for one `up` or `down`; raises LocalStackError when another one keeps it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as stream:
        _acquire(stream.fileno(), home)
        yield  # closing the file lets go


def _acquire(descriptor: int, home: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"another `up` or `down` is at work in {home}: wait for it, or interrupt it"
                ) from None
        time.sleep(0.1)
