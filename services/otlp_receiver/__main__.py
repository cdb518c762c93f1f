"""`python -m services.otlp_receiver`."""

import sys

from libs.runtime.lifecycle import run
from services.otlp_receiver.app import SERVICE, start
from services.otlp_receiver.settings import Settings

if __name__ == "__main__":
    settings = Settings()
    sys.exit(run(SERVICE, settings, lambda lifecycle: start(lifecycle, settings)))
