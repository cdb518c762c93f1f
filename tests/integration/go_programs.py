"""The tests' Go programs: built from the modules of their go.sum into `.cache/go`, which nothing is committed of."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

from scripts.install_toolchains import ensure

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "go"
BUILD_SECONDS = 1800  # the Collector's first build: some hundred modules to fetch, some thousand packages to compile


def build(sources: Path) -> Path:
    """Return the program made of a folder's module; what has not changed is not built again."""
    program = CACHE / "bin" / sources.name
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "GOMODCACHE": str(CACHE / "mod"),
        "GOCACHE": str(CACHE / "build"),
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false -trimpath",
        "CGO_ENABLED": "0",
    }
    with (CACHE / f"{sources.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes run side by side
        command = [str(ensure("go")["go"]), "build", "-o", str(program), "."]
        built = subprocess.run(
            command, cwd=sources, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    assert built.returncode == 0, built.stderr
    return program
