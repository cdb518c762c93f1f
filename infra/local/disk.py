"""Room on the disk that the data lies on: databases and the broker stop when there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

from infra.local.errors import LocalStackError

GIB = 1024**3
START_GIB = 2.0  # what a start and an hour of a demo's telemetry may take
LOW_GIB = 1.0  # below this `status` warns


def free_gib(folder: Path) -> float:
    """Return how much of the disk a folder lies on is free, in GiB."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / GIB


def require_room(folder: Path) -> None:
    """Raise LocalStackError when there is too little room to start."""
    free = free_gib(folder)
    if free < START_GIB:
        raise LocalStackError(
            f"the disk of {folder} has {free:.1f} GiB left and a start needs {START_GIB:.0f} GiB: "
            f"make room, or choose a folder on another disk with --home or INCIDENTSCOPE_HOME"
        )


def warning(free: float) -> str | None:
    """Return what to say of a disk with so many GiB free; None when that is enough."""
    if free >= LOW_GIB:
        return None
    return f"disk: only {free:.1f} GiB left: parts stop writing, then die; make room and they come back"
