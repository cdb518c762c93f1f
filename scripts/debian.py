"""Debian's packages for what the tests need and pip cannot bring: installed by root where apt-get exists."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

INSTALL_SECONDS = 600


class CannotInstall(Exception):
    """Nothing was installed; the text is one sentence with a space after it, or empty where nothing was tried."""


def install(packages: Sequence[str]) -> None:
    """Install packages. Raises CannotInstall for others than root, without apt-get, or with its last words."""
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CannotInstall("")
    print(f"installing {' and '.join(packages)} with apt-get (about a minute)", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    commands = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages])
    for command in commands:
        _run(command, environment)


def _run(command: Sequence[str], environment: dict[str, str]) -> None:
    name = " ".join(command)
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise CannotInstall(f"`{name}` did not end in {INSTALL_SECONDS} s. ") from exc
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CannotInstall(f"`{name}` failed: {last}. ")
