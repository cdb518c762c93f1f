"""`python -m services.alert_router`."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from libs.runtime.lifecycle import run
from services.alert_router.app import SERVICE, start
from services.alert_router.settings import AlertRouterSettings


def main() -> int:
    """Run the router until it is stopped; returns the exit code, 2 when a setting is wrong."""
    try:
        settings = AlertRouterSettings()
    except ValidationError as exc:
        print(f"{SERVICE}: wrong settings: {exc}", file=sys.stderr)
        return 2
    return run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings))


if __name__ == "__main__":
    sys.exit(main())
