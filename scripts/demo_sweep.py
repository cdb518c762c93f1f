"""Play the demo for many seeds of every cause against a running stack, several at a time, and count what was right.

Ends with `demos: ok=<n> of=<n> seconds=<n>`; exit code 0 when all were right. See --help.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from scripts.demo.scenario import CAUSES

STAGGER_SECONDS = 25.0  # about what two hours of history take to send, the costly part of a demo
LIMIT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Played:
    """How one demo ended: its exit code and its last line."""

    cause: str
    seed: int
    code: int
    last: str


def play(cause: str, seed: int, folder: Path) -> Played:
    """Play one demo in a process of its own; what it prints is kept in `folder`."""
    file = folder / f"demo-{cause}-{seed}.log"
    command = [sys.executable, "-m", "scripts.demo", "--cause", cause, "--seed", str(seed)]
    with file.open("w") as out:
        try:
            code = subprocess.run(command, stdout=out, stderr=out, timeout=LIMIT_SECONDS, check=False).returncode
        except subprocess.TimeoutExpired:
            return Played(cause, seed, 2, f"not over after {LIMIT_SECONDS:.0f} s")
    return Played(cause, seed, code, (file.read_text().strip().splitlines() or ["it said nothing"])[-1])


def sweep(wanted: list[tuple[str, int]], at_once: int, folder: Path) -> list[Played]:
    """Play all demos, at most so many side by side, each begun a while after the one before."""
    done: list[Played] = []
    with ThreadPoolExecutor(at_once) as pool:
        running = []
        for cause, seed in wanted:
            running.append(pool.submit(play, cause, seed, folder))
            if len(running) <= at_once < len(wanted):
                time.sleep(STAGGER_SECONDS)
        for future in as_completed(running):
            done.append(future.result())
            last = done[-1]
            print(f"{len(done)} of {len(wanted)}: {last.cause} seed {last.seed}: {last.last}", flush=True)
    return done


def main() -> int:
    """Play what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.demo_sweep", description=__doc__)
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS", "3")), help="seeds 1 to n (or SEEDS)")
    parser.add_argument("--causes", nargs="+", choices=CAUSES, default=list(CAUSES))
    parser.add_argument("--at-once", type=int, default=3, help="demos side by side")
    parser.add_argument("--folder", type=Path, default=Path(".local/demos"), help="where each demo's words are kept")
    asked = parser.parse_args()
    if asked.seeds < 1 or asked.at_once < 1:
        parser.error("--seeds and --at-once must be at least 1")
    asked.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    wanted = [(cause, seed) for seed in range(1, asked.seeds + 1) for cause in asked.causes]
    done = sweep(wanted, asked.at_once, asked.folder)
    for cause in asked.causes:
        mine = [p for p in done if p.cause == cause]
        print(f"{cause:16s} right {sum(p.code == 0 for p in mine)} of {len(mine)}")
    right = sum(p.code == 0 for p in done)
    print(f"demos: ok={right} of={len(done)} seconds={time.monotonic() - began:.0f}")
    return 0 if right == len(done) else 1


if __name__ == "__main__":
    sys.exit(main())
