"""Torment the outbox and count what its subscribers saw: nothing lost, nothing twice, nothing out of order.

Writers commit, roll back and dawdle, so that ids commit out of order; two relays run at once, and again and again one
of them is killed with SIGKILL at a random moment; the broker is stopped and killed now and then. At the end a
read_committed subscriber reads everything. Servers of its own are started for it and removed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from infra.local import processes, state
from infra.local.errors import LocalStackError
from infra.local.ports import Ports
from infra.local.stack import Stack
from scripts.outbox_world import Fact, OutboxWorld, create_world, read_committed, write_until

PARTS = ("kafka", "postgres")
KEYS = 40
READ_SECONDS = 180.0
Step = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Found:
    """What the comparison found, in events."""

    committed: int
    lost: int
    twice: int
    out_of_order: int
    rolled_back: int  # published though never committed

    @property
    def faults(self) -> int:
        """Return how much is wrong."""
        return self.lost + self.twice + self.out_of_order + self.rolled_back


def compare(committed: Sequence[Fact], seen: Sequence[Fact]) -> Found:
    """Compare what committed with what a subscriber saw, in the order it saw it within each key."""
    wanted, times = set(committed), Counter(seen)
    by_key: dict[str, list[int]] = defaultdict(list)
    for key, n in seen:
        by_key[key].append(n)
    return Found(
        committed=len(committed),
        lost=len(wanted - times.keys()),
        twice=sum(count - 1 for count in times.values()),
        out_of_order=sum(later < earlier for ns in by_key.values() for earlier, later in pairwise(ns)),
        rolled_back=len(times.keys() - wanted),
    )


async def torment(
    world: OutboxWorld, kills: int, seed: int, writers: int = 6, after: Step = lambda _kill: None
) -> None:
    """Write all along, and kill one of two relays so many times; `after` is called, in a thread, after each kill."""
    rng = random.Random(seed)
    keys, stop = [f"key-{i}" for i in range(KEYS)], asyncio.Event()
    writing = [asyncio.create_task(write_until(world, stop, keys, seed * 1000 + n)) for n in range(writers)]
    relays = [world.start_relay(), world.start_relay()]
    try:
        for kill in range(1, kills + 1):
            # Long enough to lead and publish, or so short that it dies while it starts, fences or catches up.
            await asyncio.sleep(rng.choice((rng.uniform(0.05, 0.8), rng.uniform(0.8, 3.0))))
            place = rng.randrange(len(relays))
            _kill(relays[place])
            relays[place] = world.start_relay()
            await asyncio.to_thread(after, kill)
            failed = [task for task in writing if task.done()]
            if failed:
                await failed[0]
        stop.set()
        await asyncio.gather(*writing)
    finally:
        for relay in relays:
            _kill(relay)
        for task in writing:
            task.cancel()


def _kill(relay: subprocess.Popen[bytes]) -> None:
    relay.send_signal(signal.SIGKILL)
    relay.wait(10)


def restart_broker(stack: Stack, number: int) -> None:
    """End the broker, with all its goodbyes or none, and start it again."""
    broker = state.load(stack.home).processes["kafka"]
    processes.stop(broker, signal.SIGKILL if number else signal.SIGTERM)
    stack.up(only=PARTS)


def nice(stack: Stack, load: int) -> None:
    """Let everything else go before the broker, where there is to be a load."""
    for member in processes.family(state.load(stack.home).processes["kafka"]) if load else ():
        member.nice(10)


@contextlib.contextmanager
def starved(stack: Stack, load: int) -> Iterator[None]:
    """Take the cores away from the broker for the length of the block: it is niced, and so many processes spin."""
    nice(stack, load)
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(load)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait(10)


def main() -> int:
    """Print one line that tells all; exit code 1 when anything is wrong."""
    options = _parser().parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="incidentscope-soak-", ignore_cleanup_errors=True) as folder:
            stack = Stack(Path(folder) / "home", Ports.free(), say=lambda _line: None)
            print("soak-outbox: starting a broker and a database", flush=True)
            try:
                stack.up(only=PARTS)
                found = _soak(stack, options)
            finally:
                stack.down(wipe=True)
    except (LocalStackError, ValueError) as exc:
        print(f"soak-outbox: {exc}", file=sys.stderr)
        return 2
    if found.rolled_back:
        print(f"soak-outbox: {found.rolled_back} events were published that never committed")
    print(
        f"soak-outbox: committed={found.committed} lost={found.lost} published_twice={found.twice} "
        f"out_of_order={found.out_of_order} kills={options.kills}"
    )
    return 1 if found.faults or not found.committed else 0


def _soak(stack: Stack, options: argparse.Namespace) -> Found:
    world, began = create_world(stack.postgres_url, stack.kafka_bootstrap), time.monotonic()
    every = max(2, options.kills // max(1, options.broker_restarts))

    def after(kill: int) -> None:
        if options.broker_restarts and kill % every == every // 2:
            restart_broker(stack, kill // every % 2)
            nice(stack, options.load)
            print(f"soak-outbox: broker restarted after kill {kill}", flush=True)
        if kill % 10 == 0:
            seconds = time.monotonic() - began
            committed, left = len(world.committed()), world.rows_left()
            print(
                f"soak-outbox: {kill} kills, {committed} committed, {left} not yet swept, {seconds:.0f} s", flush=True
            )

    with starved(stack, options.load):
        asyncio.run(torment(world, options.kills, options.seed, options.writers, after))
    committed, survivor = world.committed(), world.start_relay()
    try:
        return compare(committed, read_committed(world, len(committed), READ_SECONDS))
    finally:
        _kill(survivor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.soak_outbox", description=__doc__)
    parser.add_argument("--kills", type=_count, default=100, help="relays to kill (100); about 2 s each")
    parser.add_argument("--seed", type=int, default=1, help="of what writers do and when relays die (1)")
    parser.add_argument("--writers", type=_count, default=8, help="concurrent writers (8)")
    parser.add_argument("--load", type=int, default=0, help="processes that take the cores from the broker (0)")
    parser.add_argument("--broker-restarts", type=int, default=4, help="how often the broker is restarted (4)")
    return parser


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
