"""The contract checks can fail: a change that would break a reader is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).with_name("buf")
FIELD = "  // One line for people.\n  string title = 3;\n"


def buf(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(BUF), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "proto", tmp_path / "proto"))


def edit(copy: Path, before: str, after: str) -> None:
    file = copy / "incidentscope/incident/v1/incident.proto"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def test_the_contracts_break_nothing_against_themselves(copy: Path) -> None:
    found = buf("breaking", str(copy), "--against", "proto")

    assert found.returncode == 0, found.stdout


def test_a_field_that_was_removed_is_found(copy: Path) -> None:
    edit(copy, FIELD, "")

    found = buf("breaking", str(copy), "--against", "proto")

    assert found.returncode != 0
    assert "title" in found.stdout


def test_a_field_without_a_comment_is_found(copy: Path) -> None:
    edit(copy, FIELD, "  string title = 3;\n")

    found = buf("lint", str(copy))

    assert found.returncode != 0
    assert "comment" in found.stdout


def test_generated_code_is_that_of_the_contracts() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "scripts.generate_contracts", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": str(BUF.parent)},
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
