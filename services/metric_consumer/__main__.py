"""`python -m services.metric_consumer`."""

import sys

from libs.runtime.lifecycle import run
from services.metric_consumer.app import SERVICE, start
from services.metric_consumer.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings)))
