"""The soak in short: consumers killed, a server killed, every row and rollup compared with what was sent."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def soak(*arguments: str, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
    """Run the soak with a stack of its own."""
    command = [sys.executable, "-m", "scripts.soak_ingest", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_a_short_soak_loses_nothing_doubles_nothing_and_keeps_the_rollups(tmp_path: Path) -> None:
    ended = soak("--kills", "3", "--seed", "7", "--rate", "3000", "--folder", str(tmp_path))
    last = ended.stdout.splitlines()[-1] if ended.stdout else ""
    expected = r"soak-ingest: sent=\d+ lost=0 duplicated=0 rollup_drift=0 kills=3 restarts=1"
    assert re.fullmatch(expected, last), ended.stdout + ended.stderr
    assert ended.returncode == 0


@pytest.mark.parametrize("arguments", [("--kills", "0"), ("--rate", "ten")])
def test_a_soak_that_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    ended = soak(*arguments, timeout_s=30)
    assert (ended.returncode, "usage" in ended.stderr) == (2, True)
