"""Bringing databases and topics to this checkout's schema, by the programs that do it everywhere else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infra.local.clickhouse import PROJECT
from infra.local.errors import PartFailed

MIGRATE = "scripts.migrate"
CREATE_TOPICS = "scripts.create_topics"
CREATE_TENANT = "scripts.create_tenant"
FIRST_KEY = ("--if-missing", "--key-from-env", "INCIDENTSCOPE_API_KEY")
TIMEOUT_SECONDS = 120.0


def programs_for(parts: Iterable[str]) -> list[str]:
    """Return the modules that have what they need among these parts."""
    have = set(parts)
    needs = {CREATE_TOPICS: {"kafka"}, MIGRATE: {"postgres", "clickhouse"}}
    return [module for module, needed in needs.items() if needed <= have]


def apply(module: str, environment: Mapping[str, str], log: Path, arguments: Sequence[str] = ()) -> str:
    """Run one of the programs; return the last line it printed. Raises PartFailed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=dict(environment), cwd=PROJECT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        raise PartFailed(module, f"did not end within {TIMEOUT_SECONDS:.0f} s", log) from exc
    log.write_text(ended.stdout)
    if ended.returncode != 0:
        raise PartFailed(module, f"failed with exit code {ended.returncode}", log)
    return next((line for line in reversed(ended.stdout.splitlines()) if line and not line.startswith(" ")), "done")
