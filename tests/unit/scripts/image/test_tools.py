"""Saying what is missing, and what failed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from scripts.image import tools
from scripts.image.tools import SmokeFailed


def test_what_is_missing_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"podman", "runc"} else f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(SmokeFailed) as failed:
        tools.ensure(print)

    assert str(failed.value) == (
        "image-smoke needs podman, runc. "
        "On Debian: apt-get install --no-install-recommends buildah podman runc mmdebstrap"
    )


def test_a_command_that_fails_is_told_with_its_last_lines() -> None:
    program = "import sys; print(*range(40), sep='\\n'); sys.exit('no space left')"

    with pytest.raises(SmokeFailed) as failed:
        tools.run([sys.executable, "-c", program], 20.0, advice="Make room.")

    said = str(failed.value).splitlines()
    assert said[0].endswith("failed with exit code 1:")
    assert said[-2:] == ["  | no space left", "Make room."]
    assert len(said) == tools.LAST_LINES + 2


def test_a_command_that_hangs_is_ended() -> None:
    with pytest.raises(SmokeFailed, match="did not end within 0 s"):
        tools.run([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)


def test_help_is_there() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.image_smoke", "--help"], capture_output=True, text=True, check=True
    )

    assert "without a Docker engine" in ended.stdout
