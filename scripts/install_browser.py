"""Make sure that headless Chromium and its driver are here for the browser tests: `python -m scripts.install_browser`.

Installs Debian's packages when run by root where apt-get exists; otherwise says what to do and ends with 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("chromium", "chromium-driver")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INSTALL_SECONDS = 600
ADVICE = (
    "The browser tests need Chromium and chromedriver: install the packages chromium and chromium-driver "
    "(Debian: apt-get install chromium chromium-driver), or set CHROMIUM and CHROMEDRIVER to their paths."
)


class NoBrowser(Exception):  # the text is one sentence for the person who meets it
    """No browser is here and none could be installed."""


@dataclass(frozen=True, slots=True)
class Browser:
    """Where the browser and its driver are."""

    chromium: Path
    driver: Path


def find() -> Browser | None:
    """Return the browser that is installed or named by CHROMIUM and CHROMEDRIVER, or None."""
    chromium = os.environ.get("CHROMIUM") or next((p for n in BROWSERS if (p := shutil.which(n))), None)
    driver = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
    if chromium is None or driver is None:
        return None
    found = Browser(Path(chromium), Path(driver))
    missing = [p for p in (found.chromium, found.driver) if not p.is_file()]
    if missing:
        raise NoBrowser(f"There is no file {missing[0]}: correct CHROMIUM or CHROMEDRIVER.")
    return found


def ensure() -> Browser:
    """Return the browser, installing it where that is possible; raises NoBrowser."""
    found = find()
    if found is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoBrowser(ADVICE)
    _install()
    found = find()
    if found is None:
        raise NoBrowser(ADVICE)
    return found


def _install() -> None:
    print(f"installing {' and '.join(PACKAGES)} with apt-get (about a minute)", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    commands = (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES])
    for command in commands:
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise NoBrowser(f"`{' '.join(command)}` did not end in {INSTALL_SECONDS} s. {ADVICE}") from exc
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NoBrowser(f"`{' '.join(command)}` failed: {last}. {ADVICE}")


def main() -> int:
    """Install, and say where the browser is."""
    try:
        found = ensure()
    except NoBrowser as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"browser: {found.chromium}, driver: {found.driver}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
