"""Records per CPU-second of the telemetry consumers: decoding alone, the whole consumer, the reference path.

Each stage runs in a process of its own, on messages made from the seed or read with --data from files of
length-prefixed OTLP messages (each behind its length as a varint): DIR/logs*.bin, DIR/spans*.bin, DIR/metrics*.bin,
or any files in DIR/logs, DIR/spans, DIR/metrics. The rates are medians of five rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, Final

from scripts.ingest import corpus
from scripts.ingest.stages import run

STAGES: Final = ("decode", "consumer", "reference")
POOL_BYTES: Final = 24 * 1024 * 1024  # more than the caches of a processor hold


def main() -> int:
    """Run all stages; JSON lines on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of messages instead of generated ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0, help="CPU seconds of each stage")
    parser.add_argument("--signal", choices=tuple(corpus.SIGNALS), action="append", help="only this one; repeatable")
    parser.add_argument("--attributes", type=int, action="append", help="attributes of a record, default 4 and 20")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        signal, stage, path = options.child
        print(run(signal, stage, list(corpus.read(Path(path))), options.seconds))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for signal in options.signal or corpus.SIGNALS:
            for attributes, path in _inputs(options, signal, Path(folder, "messages.bin")):
                _measure(signal, attributes, path, options.seconds)
    return 0


def _inputs(options: argparse.Namespace, signal: str, path: Path) -> Any:
    """Yield, for one signal, numbers of attributes and the file with such messages."""
    if options.data is None:
        for attributes in options.attributes or (4, 20):
            corpus.write(path, corpus.generate(signal, attributes, POOL_BYTES, options.seed))
            yield attributes, path
        return
    files = corpus.find(options.data, signal)
    messages = [message for file in files for message in corpus.read(file)]
    if not messages:
        print(f"{options.data} has no {signal}", file=sys.stderr)
        return
    corpus.write(path, messages)
    yield corpus.mean_attributes(signal, messages[:200]), path


def _measure(signal: str, attributes: int, path: Path, seconds: float) -> None:
    rates: dict[str, list[float]] = {}
    peak = 0.0
    for stage in STAGES:
        command = [sys.executable, "-m", "scripts.bench_ingest", "--seconds", str(seconds)]
        done = subprocess.run(
            [*command, "--child", signal, stage, str(path)], check=True, capture_output=True, text=True
        )
        result = json.loads(done.stdout.splitlines()[-1])
        rates[stage] = [rate for rate, _ in result["rates"]]
        peak = result["peak_mib"] if stage == "consumer" else peak
        megabytes = median(rate for _, rate in result["rates"])
        _say(
            signal,
            attributes,
            stage=stage,
            records_per_cpu_s=round(median(rates[stage])),
            mb_per_cpu_s=round(megabytes),
        )
    middle = {stage: median(values) for stage, values in rates.items()}
    _say(
        signal,
        attributes,
        consumer_to_decode=round(middle["consumer"] / middle["decode"], 2),
        consumer_to_reference=round(middle["consumer"] / middle["reference"], 1),
        consumer_peak_mib=round(peak),
        spread={stage: [round(min(values)), round(max(values))] for stage, values in rates.items()},
    )


def _say(signal: str, attributes: int, **figures: Any) -> None:
    print(json.dumps({"signal": signal, "attributes": attributes, **figures}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
