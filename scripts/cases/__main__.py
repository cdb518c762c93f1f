"""Send every case of a folder through every door it can come by, and compare what came of it.

Servers of their own are started for each kind of cases. The last line is `cases: ok=<n> failed=<n>`; the exit code is
0 only when nothing failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from infra.local.errors import LocalStackError
from libs.kernel.errors import IncidentScopeError
from scripts.cases.frame import CasesInvalid, Kind, find_cases, run_all
from scripts.cases.telemetry import Telemetry
from scripts.ingest.rig import RigFailed

OURS: Final = Path(__file__).resolve().parents[2] / "tests" / "cases"
KINDS: Final[tuple[Kind, ...]] = (Telemetry(),)


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="cases", description=__doc__.splitlines()[0])
    parser.add_argument("--dir", type=Path, default=OURS, help="where the lists of cases are, default %(default)s")
    options = parser.parse_args()
    try:
        tally = run_all(KINDS, find_cases(options.dir), lambda text: print(text, flush=True))
    except (CasesInvalid, RigFailed, LocalStackError, IncidentScopeError, OSError) as error:
        print(f"cases: {error}", file=sys.stderr)
        return 2
    print(tally.line(), flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
