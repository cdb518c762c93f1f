"""`python -m services.log_consumer`."""

import sys

from libs.runtime.lifecycle import run
from services.log_consumer.app import SERVICE, start
from services.log_consumer.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings)))
