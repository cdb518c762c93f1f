"""`python -m services.incident_service` runs the service until SIGTERM."""

from __future__ import annotations

import sys

from libs.runtime.lifecycle import run
from services.incident_service.app import start
from services.incident_service.settings import Settings

if __name__ == "__main__":
    sys.exit(run("incident_service", Settings(), start))
