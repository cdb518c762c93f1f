"""What runs, and how it is doing, as a table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from infra.local import processes, state
from infra.local.part import Part
from infra.local.processes import Identity
from infra.local.stack import Stack

MEMORY_LIMIT_MIB = 4096  # what the idle stack must stay under
MIB = 1024 * 1024
READY, STARTING, DOWN = "ready", "starting", "down"


@dataclass(frozen=True, slots=True)
class Row:
    """One part. `state` is `ready`, `starting` (runs, does not answer well) or `down`."""

    part: str
    pid: int | None
    state: str
    port: int
    memory_mib: float | None
    uptime_seconds: float | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """The stack at one moment."""

    rows: tuple[Row, ...]
    ready_seconds: float | None

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
            "parts": [asdict(row) for row in self.rows],
        }


def report(stack: Stack) -> Report:
    """Look at the parts that were asked for (all of them when nothing was)."""
    memory = state.load(stack.home)
    parts = [part for name, part in stack.parts().items() if not memory.wanted or name in memory.wanted]
    with ThreadPoolExecutor(len(parts)) as pool:
        rows = pool.map(lambda part: _look(part, stack, memory.processes.get(part.name)), parts)
    return Report(tuple(rows), memory.ready_seconds)


def _look(part: Part, stack: Stack, identity: Identity | None) -> Row:
    port = stack.ports[part.ports[0]]
    used = processes.usage(identity) if identity is not None else None
    if identity is None or used is None:
        return Row(part.name, None, DOWN, port, None, None, None)
    problem = part.problem()
    condition = READY if problem is None else STARTING
    return Row(part.name, identity.pid, condition, port, used.memory_bytes / MIB, used.age_seconds, problem)


def render(seen: Report) -> str:
    """Return the table for people."""
    head = ("part", "pid", "state", "port", "RSS MiB", "uptime")
    lines = _table([head, *(_cells(row) for row in seen.rows)])
    lines += [f"{row.part}: {row.problem}" for row in seen.rows if row.problem]
    lines.append(f"memory: {seen.memory_mib:.0f} MiB of {MEMORY_LIMIT_MIB} MiB")
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
