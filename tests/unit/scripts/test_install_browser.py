from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import install_browser
from scripts.install_browser import NoBrowser


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.delenv("CHROMEDRIVER", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)


def test_named_paths_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CHROMIUM", "CHROMEDRIVER"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    assert install_browser.ensure().driver == tmp_path / "CHROMEDRIVER"


def test_a_named_path_that_does_not_exist_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "gone"))
    monkeypatch.setenv("CHROMEDRIVER", str(tmp_path / "gone"))
    with pytest.raises(NoBrowser, match="correct CHROMIUM or CHROMEDRIVER"):
        install_browser.ensure()


@pytest.mark.usefixtures("nothing_here")
def test_where_nothing_can_be_installed_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert install_browser.main() == 1
    assert "install the packages chromium and chromium-driver" in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_here")
def test_a_failed_installation_tells_the_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess(["apt-get"], 100, "", "one\nE: no network\n")
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(subprocess, "run", lambda *_a, **_k: failed)
    with pytest.raises(NoBrowser, match="E: no network"):
        install_browser.ensure()
