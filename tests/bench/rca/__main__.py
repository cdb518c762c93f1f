"""Ranks the causes of recorded outages with the engine's own code, and prints how often it is right."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.bench.rca import data, report
from tests.bench.rca.run import Options, Results, run_set

DEFAULT_DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "rca"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rca", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder with the sets, unpacked or .tar.xz")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "incidentscope-bench-rca")
    parser.add_argument("--sets", nargs="*", default=[], choices=[*data.ADAPTERS], help="only these")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the bootstrap intervals and of the deploys put over the cases"
    )
    parser.add_argument("--cases", action="store_true", help="print every case")
    parser.add_argument("--fast", action="store_true", help="leave out the onset shifts")
    parser.add_argument("--overlays", type=int, default=3, help="draws of deploys put over each case; 0 for none")
    return parser.parse_args()


def main() -> int:
    """Return 0, or 2 when there is nothing to measure on."""
    arguments = _arguments()
    names = data.available(arguments.data) if arguments.data.is_dir() else []
    names = [n for n in names if not arguments.sets or n in arguments.sets]
    if not names:
        print(f"bench-rca: no recorded outages in {arguments.data}; give a folder with DATA=dir", file=sys.stderr)
        return 2
    shifts = () if arguments.fast else tuple(timedelta(minutes=m) for m in range(-2, 6))
    options = Options(shifts, arguments.overlays, arguments.seed, arguments.cases)
    all_results: list[Results] = []
    for name in names:
        found = data.cases(name, arguments.data, arguments.cache)
        all_results.append(run_set(name, found, options))
    for results in all_results:
        report.table(results, arguments.seed)
    for line in report.lines(all_results):
        print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())
