"""Resolve pyproject.toml into hashed requirement files.

`runtime` is what images hold, `local` adds the stack of one machine, `dev` adds the tests; each contains the one before
and comes from wheels alone. `bench` is for `make bench-signatures`, `pip` and `build` are what installs the others.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
WHEELS_ONLY = ("--only-binary", ":all:")
FILES: dict[str, Sequence[str]] = {
    "runtime": WHEELS_ONLY,
    "local": (*WHEELS_ONLY, "--extra", "local"),
    "dev": (*WHEELS_ONLY, "--extra", "local", "--extra", "dev"),
    "bench": ("--extra", "bench"),
    "build": (*WHEELS_ONLY, "--group", "build"),
    "pip": (*WHEELS_ONLY, "--group", "pip"),
}


def everywhere() -> list[str]:
    """Return the parts of the marker that holds wherever the project runs: on every line they would only be noise."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    marker: str = project["tool"]["uv"]["environments"][0]
    return marker.split(" and ")


def without_markers(lock: str, parts: Sequence[str]) -> str:
    """Return the lock without those parts of its markers; what else a marker says stays."""
    return "\n".join(_without(line, parts) for line in lock.split("\n"))


def _without(line: str, parts: Sequence[str]) -> str:
    pin, separator, marker = line.removesuffix(" \\").partition(" ; ")
    if not separator:
        return line
    left = " and ".join(part for part in marker.split(" and ") if part not in parts)
    return f"{pin} ; {left} \\" if left else f"{pin} \\"


def main() -> int:
    """Write requirements/*.txt for every Python and platform the project runs on; needs `uv` on the PATH."""
    parts = everywhere()
    for name, options in FILES.items():
        file = FOLDER / f"{name}.txt"
        source = [] if "--group" in options else ["pyproject.toml"]
        command = ["uv", "pip", "compile", *source, "--universal", "--python-version", "3.11", "--quiet"]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
        command += [*options, *sys.argv[1:], "-o", str(file.relative_to(ROOT))]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        file.write_text(without_markers(file.read_text(), parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
