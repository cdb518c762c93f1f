"""What runs, and how it is doing, as a table or as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from infra.local import disk, processes, state
from infra.local.part import Part
from infra.local.stack import Stack
from infra.local.state import State
from infra.local.supervisor import how_it_ended

MEMORY_LIMIT_MIB = 4096  # what the idle stack must stay under
MIB = 1024 * 1024
READY, STARTING, DOWN = "ready", "starting", "down"
NONE, RUNNING, DIED = "none", "running", "died"  # of the supervisor, which only the command `up` starts


@dataclass(frozen=True, slots=True)
class Row:
    """One part. `state` is `ready`, `starting` (runs, does not answer well) or `down`; `restarts` since `up`."""

    part: str
    pid: int | None
    state: str
    port: int
    memory_mib: float | None
    uptime_seconds: float | None
    problem: str | None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The stack at one moment."""

    rows: tuple[Row, ...]
    ready_seconds: float | None
    disk_free_gib: float = math.inf
    supervisor: str = NONE

    @property
    def all_ready(self) -> bool:
        """Return whether there is something, and all of it is ready."""
        return bool(self.rows) and all(row.state == READY for row in self.rows)

    @property
    def memory_mib(self) -> float:
        """Return what all parts take together."""
        return sum(row.memory_mib or 0.0 for row in self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "ready": self.all_ready,
            "memory_mib": round(self.memory_mib),
            "memory_limit_mib": MEMORY_LIMIT_MIB,
            "ready_seconds": self.ready_seconds,
            "disk_free_gib": round(self.disk_free_gib, 1) if math.isfinite(self.disk_free_gib) else None,
            "supervisor": self.supervisor,
            "parts": [asdict(row) for row in self.rows],
        }


def report(stack: Stack) -> Report:
    """Look at the parts that were asked for (all of them when nothing was)."""
    memory = state.load(stack.home)
    supervisor = _supervisor(memory)
    parts = [part for name, part in stack.parts().items() if not memory.wanted or name in memory.wanted]
    with ThreadPoolExecutor(len(parts)) as pool:
        rows = pool.map(lambda part: _look(part, stack, memory, supervisor), parts)
        return Report(tuple(rows), memory.ready_seconds, disk.free_gib(stack.home), supervisor)


def _supervisor(memory: State) -> str:
    if memory.supervisor is None:
        return NONE
    return RUNNING if processes.alive(memory.supervisor) else DIED


def _look(part: Part, stack: Stack, memory: State, supervisor: str) -> Row:
    port, identity = stack.ports[part.ports[0]], memory.processes.get(part.name)
    used = processes.usage(identity) if identity is not None else None
    restart = memory.restarts.get(part.name)
    times = restart.times if restart else 0
    if identity is None or used is None:
        why = None if identity is None and restart is None else _why_down(part.name, stack, memory, supervisor)
        return Row(part.name, None, DOWN, port, None, None, why, times)
    problem = part.problem()
    condition = READY if problem is None else STARTING
    died = f"died {times} times since `up`, the last time: {restart.why}" if restart else None
    told = "; ".join(text for text in (problem, died) if text) or None
    return Row(part.name, identity.pid, condition, port, used.memory_bytes / MIB, used.age_seconds, told, times)


def _why_down(part: str, stack: Stack, memory: State, supervisor: str) -> str:
    restart = memory.restarts.get(part)
    why = restart.why if restart else how_it_ended(stack.home, part, memory.processes.get(part))
    times = f" (death {restart.times} since `up`)" if restart else ""
    return f"{why}{times}; " + (
        "it is started again by itself" if supervisor == RUNNING else "`make up` starts it again"
    )


def render(seen: Report) -> str:
    """Return the table for people."""
    head = ("part", "pid", "state", "port", "RSS MiB", "uptime")
    lines = _table([head, *(_cells(row) for row in seen.rows)])
    lines += [f"{row.part}: {row.problem}" for row in seen.rows if row.problem]
    lines.append(f"memory: {seen.memory_mib:.0f} MiB of {MEMORY_LIMIT_MIB} MiB")
    lines += [text for text in (disk.warning(seen.disk_free_gib),) if text]
    if seen.supervisor == DIED:
        lines.append("supervisor: died: parts that die stay dead; `make up` starts it again")
    if seen.ready_seconds is not None:
        lines.append(f"ready in {seen.ready_seconds:.1f} s")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    memory = "-" if row.memory_mib is None else f"{row.memory_mib:.0f}"
    uptime = "-" if row.uptime_seconds is None else duration(row.uptime_seconds)
    return row.part, str(row.pid or "-"), row.state, str(row.port), memory, uptime


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = {0, 2}  # names and states; numbers line up on the right
    return [
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return 45s, 12m05s, 3h07m or 2d04h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"
