"""Kill, restart and rebalance the consumers under load, then compare every row and rollup with what was sent.

The last line is `soak-ingest: sent=<n> lost=0 duplicated=0 rollup_drift=0 kills=<n> restarts=<n>`; the exit code is 0
only when it says so.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from infra.local.errors import LocalStackError
from libs.kernel.errors import IncidentScopeError, Unavailable
from libs.storage.clickhouse import ClickHouse
from scripts.ingest.compare import Comparison, compare, stored
from scripts.ingest.numbered import SIGNALS
from scripts.ingest.rig import Consumer, Rig, RigFailed, running
from scripts.ingest.sender import Sender

# Small batches: inserting nearly all the time; short sessions: the group notices a death soon
SETTINGS = {"INGEST_BATCH_SECONDS": "0.2", "INGEST_SESSION_SECONDS": "6", "EDGE_SECONDS": "1", "LOG_LEVEL": "warning"}
PATIENCE_SECONDS = 20.0  # how long a consumer may take to insert anything before it is killed all the same
SETTLE_SECONDS = 180.0
KILLS_PER_RESTART = 5
KILLS_PER_REBALANCE = 4


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with 2 on a mistake."""
    parser = argparse.ArgumentParser(prog="soak_ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="consumers to kill by SIGKILL, default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="of the order of events, default %(default)s")
    parser.add_argument("--rate", type=int, default=9000, help="records a second to send, default %(default)s")
    parser.add_argument("--folder", type=Path, help="keep the logs there; default: a temporary folder")
    chosen = parser.parse_args(arguments)
    if chosen.kills < 1 or chosen.rate < 300:
        parser.error("--kills must be at least 1 and --rate at least 300")
    return chosen


@dataclass
class Soak:
    """One run: the order of events comes from the seed, their moments from the machine."""

    rig: Rig
    chance: random.Random
    consumers: dict[str, Consumer] = field(default_factory=dict)
    seconds: dict[str, Consumer] = field(default_factory=dict)  # other members of a group, which come and go
    kills: int = 0
    restarts: int = 0
    begun: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell how it goes."""
        print(f"[{time.monotonic() - self.begun:6.1f} s] {text}", flush=True)

    def start(self) -> None:
        """Start one consumer of each signal."""
        for signal in SIGNALS:
            self.consumers[signal.service] = self.rig.consumer(signal.service)
            self.consumers[signal.service].start()
        for consumer in self.consumers.values():
            consumer.wait_ready()

    def disturb(self, kills: int) -> None:
        """Kill so many consumers, with restarts and rebalances in between."""
        while self.kills < kills:
            service = self.chance.choice([signal.service for signal in SIGNALS])
            self._wait_for_rows(self.consumers[service])
            time.sleep(self.chance.uniform(0.0, 1.5))
            self.consumers[service].kill()
            self.kills += 1
            self.say(f"kill {self.kills} of {kills}: {service}")
            if self.kills % KILLS_PER_REBALANCE == 0:
                self._rebalance(self.chance.choice([signal.service for signal in SIGNALS]))
            if self.kills % KILLS_PER_RESTART == 0 or self.kills == kills == 3:
                self._restart()
            self.consumers[service].start()

    def _wait_for_rows(self, consumer: Consumer) -> None:
        """Wait until a consumer inserts: killing one that has not begun shows nothing."""
        while not consumer.metric("rows_total") and time.monotonic() - consumer.started_at < PATIENCE_SECONDS:
            time.sleep(0.2)
        if not consumer.running:
            raise RigFailed(f"{consumer.service} ended by itself; its log is in {self.rig.folder}")

    def _rebalance(self, service: str) -> None:
        second = self.seconds.get(service)
        if second is None:
            second = self.seconds[service] = self.rig.consumer(service)
        if second.running:
            second.stop()
            self.say(f"a second {service} left")
        else:
            second.start()
            self.say(f"a second {service} joined")

    def _restart(self) -> None:
        part, orderly = self.chance.choice(["broker", "gateway", "gateway"]), self.chance.random() < 0.4
        self.rig.restart(part, orderly)
        self.restarts += 1
        self.say(f"{part} {'restarted' if orderly else 'killed and started'}")

    def settle(self, clickhouse: ClickHouse, sender: Sender) -> Comparison:
        """Wait until everything sent is stored and equal, or nothing helps any more; return the last comparison."""
        deadline, told = time.monotonic() + SETTLE_SECONDS, 0.0
        while True:
            try:
                rows = stored(clickhouse)
                outcome = compare(clickhouse, sender) if rows >= sender.records else None
            except Unavailable as error:
                self.say(f"waiting: {error}")
                rows, outcome = 0, None
            if outcome is not None and (outcome.equal or time.monotonic() > deadline):
                return outcome
            if time.monotonic() > deadline:
                return compare(clickhouse, sender)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                drift = outcome.drift if outcome else "?"
                self.say(f"{rows} of {sender.records} rows stored, {drift} rollup minutes differ")
            time.sleep(1.0)


def run(options: argparse.Namespace) -> int:
    """Run the soak and print its outcome; returns the exit code."""
    with running(SETTINGS, options.folder) as rig:
        soak = Soak(rig, random.Random(options.seed))
        soak.say(f"servers are up, seed {options.seed}")
        clickhouse = ClickHouse(rig.stack.clickhouse_url)
        sender = Sender(rig.stack.kafka_bootstrap, options.rate)
        soak.start()
        sender.start()
        try:
            soak.disturb(options.kills)
        finally:
            sender.finish()
        if sender.failure:
            raise RigFailed(sender.failure)
        soak.say(f"{sender.records} records sent")
        outcome = soak.settle(clickhouse, sender)
        for note in outcome.notes[:20]:
            soak.say(note)
        peak = max(consumer.peak_bytes for consumer in rig.consumers)
        soak.say(f"highest memory of a consumer: {peak / 2**20:.0f} MiB")
        clickhouse.close()
    print(
        f"soak-ingest: sent={outcome.sent} lost={outcome.lost} duplicated={outcome.duplicated} "
        f"rollup_drift={outcome.drift} kills={soak.kills} restarts={soak.restarts}",
        flush=True,
    )
    return 0 if outcome.equal else 1


def main() -> int:
    """Run from the command line."""
    try:
        return run(parse_arguments())
    except (RigFailed, LocalStackError, IncidentScopeError) as error:
        print(f"soak_ingest: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
