"""`python -m services.trace_consumer`."""

import sys

from libs.runtime.lifecycle import run
from services.trace_consumer.app import SERVICE, start
from services.trace_consumer.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings)))
