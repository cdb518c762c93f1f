"""Runs correlation_engine: `python -m services.correlation_engine`."""

from __future__ import annotations

import sys

from services.correlation_engine.app import main

if __name__ == "__main__":
    sys.exit(main())
