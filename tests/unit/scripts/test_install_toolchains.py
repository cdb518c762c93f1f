from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import install_toolchains
from scripts.install_toolchains import NoToolchain, ensure


def _go(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = folder / "go"
    program.write_text(f"#!/bin/sh\necho {says}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    return program


def test_what_is_on_the_path_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = _go(tmp_path, "go version go1.26.8 linux/amd64", monkeypatch)
    assert ensure("go") == {"go": program}


@pytest.mark.parametrize("says", ["go version go1.19.8 linux/amd64", "nothing"])
def test_what_is_too_old_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str) -> None:
    _go(tmp_path, says, monkeypatch)
    with pytest.raises(NoToolchain, match=r"is too old. The tests of Go clients need go on PATH, 1.21 or newer"):
        ensure("go")


def test_a_toolchain_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/node" if name == "node" else None)
    with pytest.raises(NoToolchain, match="need node and npm on PATH"):
        ensure("node")


def test_where_nothing_can_be_installed_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert install_toolchains.main() == 1
    assert "apt-get install golang-go" in capsys.readouterr().err


def test_root_installs_debian_s_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[list[str]] = []
    program = _go(tmp_path, "go version go1.24.4 linux/amd64", monkeypatch)
    real = subprocess.run

    def run(command: list[str], **options: object) -> object:
        if command[0] != "apt-get":
            return real(command, **options)  # type: ignore[call-overload]
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    known = {"apt-get": "/bin/apt-get"}
    monkeypatch.setattr(shutil, "which", lambda name: str(program) if name == "go" and asked else known.get(name))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", run)
    assert ensure("go") == {"go": program}
    assert asked[-1][-1] == "golang-go"


def test_a_failed_installation_tells_the_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(["apt-get"], 100, "", "one\nE: no network\n")
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: failed)
    with pytest.raises(NoToolchain, match=r"failed: E: no network. The tests of Go clients need"):
        ensure("go")
