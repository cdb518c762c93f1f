"""Make sure that headless Chromium and its driver are here for the browser tests: `python -m scripts.install_browser`.

Installs Debian's packages when run by root where apt-get exists; otherwise says what to do and ends with 1.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts import debian

PACKAGES = ("chromium", "chromium-driver")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
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
    try:
        debian.install(PACKAGES)
    except debian.CannotInstall as exc:
        raise NoBrowser(f"{exc}{ADVICE}") from exc
    found = find()
    if found is None:
        raise NoBrowser(ADVICE)
    return found


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
