"""Compile the OTLP decoders into their cache, so that the consumers' first start does not take the time."""

from __future__ import annotations

import sys
import time

from libs.otlp.columnar_logs import decode_logs
from libs.otlp.columnar_metrics import decode_metrics
from libs.otlp.columnar_spans import decode_spans
from libs.otlp.compiled import CACHED, FOLDER


def main() -> int:
    """Compile what is not in the cache yet."""
    if not CACHED:
        print(f"{FOLDER} cannot be written: every start of a consumer will compile its decoder", file=sys.stderr)
        return 0
    started = time.monotonic()
    for decode in (decode_logs, decode_spans, decode_metrics):
        decode.warm_up()
    print(f"the OTLP decoders are compiled ({time.monotonic() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
