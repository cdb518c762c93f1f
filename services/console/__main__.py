"""`python -m services.console` runs the console until SIGTERM."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from libs.runtime.lifecycle import run
from services.console.app import start
from services.console.settings import ConsoleSettings


def main() -> int:
    """Run with the environment's settings and return the exit code."""
    settings = ConsoleSettings()
    return run("console", settings, lambda lifecycle: start(lifecycle, settings))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValidationError, SettingsError) as exc:
        sys.exit(f"console: the settings cannot be used: {exc}")
