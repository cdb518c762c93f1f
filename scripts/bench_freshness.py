"""How soon telemetry can be queried after it was handed to the producer, at a given rate, everything on one machine.

Prints JSON lines: progress on stderr, one line per signal and a last one for all:
`{"bench": "freshness", "signal": "all", "rate": 20000, "p50_s": ..., "p99_s": ..., ...}`. A message counts as
queryable when a query that began after it was stored has answered, so the pause between two queries is in the figure.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from infra.local.errors import LocalStackError
from libs.kernel.errors import IncidentScopeError
from libs.storage.clickhouse import ClickHouse
from scripts.ingest.numbered import SIGNALS, Signal
from scripts.ingest.rig import Rig, RigFailed, running
from scripts.ingest.sender import Sender

POLL_SECONDS = 0.1
SETTLE_SECONDS = 60.0
TARGET_P99_SECONDS = 3.0
NEWEST = "SELECT IngestPartition, max(IngestOffset) FROM {table} WHERE IngestOffset >= {seen} GROUP BY IngestPartition"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(prog="bench_freshness", description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=20_000, help="records a second, all signals, default %(default)s")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure, default %(default)s")
    parser.add_argument("--warm-up", type=float, default=10.0, help="seconds before that, default %(default)s")
    parser.add_argument("--folder", type=Path, help="keep the logs there; default: a temporary folder")
    chosen = parser.parse_args(arguments)
    if chosen.rate < 300 or chosen.seconds <= 0 or chosen.warm_up < 0:
        parser.error("--rate must be at least 300, --seconds more than 0, --warm-up not negative")
    return chosen


@dataclass
class Watch:
    """Messages on their way, by signal and partition, and the seconds each took that has arrived."""

    waiting: dict[tuple[str, int], deque[tuple[int, float]]] = field(default_factory=dict)
    taken: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # (handed over, seconds)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, signal: Signal, partition: int, offset: int, handed: float) -> None:
        """Note a message the broker has acknowledged."""
        with self.lock:
            self.waiting.setdefault((signal.name, partition), deque()).append((offset, handed))

    def look(self, clickhouse: ClickHouse, signal: Signal) -> None:
        """Ask how far each partition can be read, and note what has arrived."""
        with self.lock:  # an index skips what lies before the first message on its way: the question costs little
            ahead = [queue[0][0] for (name, _), queue in self.waiting.items() if name == signal.name and queue]
        newest = clickhouse.query(NEWEST.format(table=signal.table, seen=min(ahead, default=0)))
        now = time.monotonic()
        with self.lock:
            for partition, offset in newest:
                queue = self.waiting.get((signal.name, partition), deque())
                while queue and queue[0][0] <= offset:
                    handed = queue.popleft()[1]
                    self.taken.setdefault(signal.name, []).append((handed, now - handed))

    def open(self) -> int:
        """Return how many messages have not arrived."""
        with self.lock:
            return sum(map(len, self.waiting.values()))


def measure(rig: Rig, options: argparse.Namespace) -> list[dict[str, object]]:
    """Run the load and return the lines to print."""
    watch = Watch()
    clickhouse = ClickHouse(rig.stack.clickhouse_url)
    sender = Sender(rig.stack.kafka_bootstrap, options.rate, watch.sent)
    begun = time.monotonic()
    end, told = begun + options.warm_up + options.seconds, begun
    sender.start()
    while time.monotonic() < end:
        _look(watch, clickhouse)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"freshness: {told - begun:.0f} s, {sender.records} records, {watch.open()} messages on their way",
                  file=sys.stderr, flush=True)  # fmt: skip
    lasted = time.monotonic() - begun
    sender.finish()
    if sender.failure:
        raise RigFailed(sender.failure)
    deadline = time.monotonic() + SETTLE_SECONDS
    while watch.open() and time.monotonic() < deadline:
        _look(watch, clickhouse)
    clickhouse.close()
    for consumer in rig.consumers:
        consumer.note_memory()
    peak = max(consumer.peak_bytes for consumer in rig.consumers)
    about = {
        "bench": "freshness", "rate": options.rate, "reached": round(sender.records / lasted), "cores": os.cpu_count(),
        "seconds": options.seconds, "unfinished": watch.open(), "consumer_peak_mib": round(peak / 2**20),
    }  # fmt: skip
    measured = {
        name: [s for handed, s in pairs if handed >= begun + options.warm_up] for name, pairs in watch.taken.items()
    }
    signals = {**measured, "all": [s for seconds in measured.values() for s in seconds]}
    return [{**about, "signal": name, **_quantiles(seconds)} for name, seconds in signals.items()]


def _look(watch: Watch, clickhouse: ClickHouse) -> None:
    for signal in SIGNALS:
        watch.look(clickhouse, signal)
    time.sleep(POLL_SECONDS)


def _quantiles(seconds: list[float]) -> dict[str, object]:
    if not seconds:
        return {"messages": 0, "p50_s": None, "p99_s": None, "max_s": None}
    p50, p99 = np.quantile(seconds, [0.5, 0.99])
    rounded = {"p50_s": round(float(p50), 3), "p99_s": round(float(p99), 3), "max_s": round(max(seconds), 3)}
    return {"messages": len(seconds), **rounded}


def main() -> int:
    """Run from the command line; the exit code is 0 when p99 of all is within the target and all arrived."""
    options = parse_arguments()
    try:
        with running({"LOG_LEVEL": "warning"}, options.folder) as rig:
            for signal in SIGNALS:
                rig.consumer(signal.service).start()
            for consumer in rig.consumers:
                consumer.wait_ready()
            lines = measure(rig, options)
    except (RigFailed, LocalStackError, IncidentScopeError) as error:
        print(f"bench_freshness: {error}", file=sys.stderr)
        return 2
    for line in lines:
        print(json.dumps(line), flush=True)
    p99 = lines[-1]["p99_s"]
    return 0 if isinstance(p99, float) and p99 < TARGET_P99_SECONDS and not lines[-1]["unfinished"] else 1


if __name__ == "__main__":
    sys.exit(main())
