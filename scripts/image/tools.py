"""The programs that build and run images without a Docker engine, and running them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from libs.kernel.errors import IncidentScopeError

PACKAGES = ("buildah", "podman", "runc", "mmdebstrap")
INSTALL = "apt-get install --no-install-recommends " + " ".join(PACKAGES)
INSTALL_SECONDS = 600.0
LAST_LINES = 12
Say = Callable[[str], None]


class SmokeFailed(IncidentScopeError):
    """The image could not be built, started or used; the text says what failed and what was printed."""


def missing() -> list[str]:
    """Return the programs that are not here."""
    return [name for name in PACKAGES if shutil.which(name) is None]


def ensure(say: Say) -> None:
    """Install what is missing, where that is possible; raises SmokeFailed with the command that does it."""
    absent = missing()
    if not absent:
        return
    advice = f"image-smoke needs {', '.join(absent)}. On Debian: {INSTALL}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SmokeFailed(advice)
    say(f"installing {' '.join(absent)} with apt-get (about a minute)")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], [*INSTALL.split(), "-y", "-qq"]):
        run(command, INSTALL_SECONDS, environment=quiet, advice=advice)
    if missing():
        raise SmokeFailed(advice)


def run(
    command: Sequence[str],
    seconds: float,
    *,
    environment: dict[str, str] | None = None,
    log: Path | None = None,
    advice: str = "",
) -> str:
    """Run a command to its end and return what it printed, without errors; raises SmokeFailed with its last lines."""
    name = " ".join(word for word in command[:1])
    try:
        ended = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise SmokeFailed(f"{name} did not end within {seconds:.0f} s. {advice}".strip()) from exc
    if log is not None:
        log.write_text(ended.stdout + ended.stderr)
    if ended.returncode != 0:
        raise SmokeFailed(told(f"{name} failed with exit code {ended.returncode}", ended.stdout + ended.stderr, advice))
    return ended.stdout.strip()


def told(what: str, printed: str, advice: str = "") -> str:
    """Return a sentence with the last lines that were printed, and what to do."""
    lines = printed.strip().splitlines()[-LAST_LINES:]
    shown = "".join(f"\n  | {line}" for line in lines) or "\n  | (nothing printed)"
    return f"{what}:{shown}" + (f"\n{advice}" if advice else "")
