"""Mutated OTLP messages through the compiled decoders and the reference: they must agree on all of them.

The work is done by a child process, so that a crash or a hang is counted and told with the batch that caused it.
Messages the decoders ever disagreed on are appended to a file that a test replays.
"""

from __future__ import annotations

import argparse
import queue
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.otlp.differential import BATCH, SIGNALS, compare, mutated

KEPT: Final = Path(__file__).resolve().parent.parent / "tests" / "unit" / "libs" / "otlp" / "fuzz_cases.txt"
HANG_SECONDS: Final = 120.0  # the first batch may have to be compiled


@dataclass(slots=True)
class Tally:
    """What came of it so far."""

    messages: int = 0
    accepted: int = 0
    crashes: int = 0
    hangs: int = 0
    disagreements: int = 0

    def line(self) -> str:
        """Return the summary that scripts may parse."""
        return (
            f"fuzz-otlp: messages={self.messages} accepted={self.accepted} crashes={self.crashes} hangs={self.hangs}"
            f" disagreements={self.disagreements}"
        )

    def failed(self) -> bool:
        """Return whether anything was found."""
        return bool(self.crashes or self.hangs or self.disagreements)


def main() -> int:
    """Run until `--count` messages are compared; exit 1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="messages, all signals together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=KEPT, help="where failing messages are appended")
    parser.add_argument("--work", nargs=2, type=int, metavar=("FROM", "TO"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        begin, end = options.work
        return _work(options.seed, begin, end, options.keep)
    tally, batches = Tally(), max(-(-options.count // BATCH), 1)
    done = 0
    while done < batches:
        done = _supervise(options.seed, done, batches, options.keep, tally)
    print(tally.line())
    return 1 if tally.failed() else 0


def _supervise(seed: int, begin: int, end: int, keep: Path, tally: Tally) -> int:
    """Run a child from batch `begin` on; return the batch to go on with."""
    command = [sys.executable, "-m", "scripts.fuzz_otlp", "--seed", str(seed), "--keep", str(keep)]
    with subprocess.Popen([*command, "--work", str(begin), str(end)], stdout=subprocess.PIPE, text=True) as child:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(child, lines), daemon=True).start()
        for batch in range(begin, end):
            try:
                line = lines.get(timeout=HANG_SECONDS)
            except queue.Empty:
                child.kill()
                tally.hangs += 1
                print(f"hang: {_name(seed, batch)}", file=sys.stderr)
                return batch + 1
            if not line:
                tally.crashes += 1
                print(f"crash, exit code {child.wait()}: {_name(seed, batch)}", file=sys.stderr)
                return batch + 1
            accepted, disagreed = map(int, line.split())
            tally.messages += BATCH
            tally.accepted += accepted
            tally.disagreements += disagreed
            if batch % 1000 == 999:
                print(f"{tally.messages} messages, {tally.disagreements} disagreements", flush=True)
    return end


def _read(child: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    for line in child.stdout or ():
        lines.put(line)
    lines.put("")


def _name(seed: int, batch: int) -> str:
    return f"seed {seed}, {SIGNALS[batch % 3]}, batch {batch}"


def _work(seed: int, begin: int, end: int, keep: Path) -> int:
    for batch in range(begin, end):
        signal = SIGNALS[batch % 3]
        bodies = mutated(signal, seed, batch)
        try:
            accepted, disagreed = compare(signal, bodies)
        except Exception:
            traceback.print_exc()
            _keep(keep, signal, bodies, _name(seed, batch))
            return 1
        if disagreed:
            _keep(keep, signal, disagreed, _name(seed, batch))
        print(accepted, len(disagreed), flush=True)
    return 0


def _keep(keep: Path, signal: str, bodies: list[bytes], name: str) -> None:
    with keep.open("a") as file:
        file.writelines(f"{signal} {body.hex()} # {name}\n" for body in bodies)


if __name__ == "__main__":
    sys.exit(main())
