"""Run the console."""

from __future__ import annotations

import sys

from libs.runtime.lifecycle import run
from services.console.app import start
from services.console.settings import ConsoleSettings

if __name__ == "__main__":
    settings = ConsoleSettings()
    sys.exit(run("console", settings, lambda lifecycle: start(lifecycle, settings)))
