"""`python -m services.correlation_engine`."""

import sys

from libs.runtime.lifecycle import run
from services.correlation_engine.app import SERVICE, start
from services.correlation_engine.settings import Settings

if __name__ == "__main__":
    sys.exit(run(SERVICE, Settings(), start))
