"""`python -m services.trace_consumer [replay ...]`."""

import sys

from libs.runtime.ingest_command import command
from services.trace_consumer.app import ingest, start
from services.trace_consumer.settings import Settings

if __name__ == "__main__":
    sys.exit(command(sys.argv[1:], Settings, ingest, start))
