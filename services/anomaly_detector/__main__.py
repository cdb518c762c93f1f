"""`python -m services.anomaly_detector`."""

from __future__ import annotations

import sys

from pydantic import ValidationError

from libs.runtime.lifecycle import run
from services.anomaly_detector.app import SERVICE, start
from services.anomaly_detector.settings import AnomalyDetectorSettings


def main() -> int:
    """Run the detector until it is stopped; returns the exit code, 2 when a setting is wrong."""
    try:
        settings = AnomalyDetectorSettings()
    except ValidationError as exc:
        print(f"{SERVICE}: wrong settings: {exc}", file=sys.stderr)
        return 2
    return run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings))


if __name__ == "__main__":
    sys.exit(main())
