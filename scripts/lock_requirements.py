"""Resolve pyproject.toml into hashed requirement files: runtime (images) and dev (this machine, tests included)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {"runtime": (), "dev": ("local", "dev")}


def main() -> int:
    """Write requirements/*.txt for Python 3.11 and later on every platform; needs `uv` on the PATH."""
    for name, extras in FILES.items():
        command = ["uv", "pip", "compile", "pyproject.toml", "--universal", "--python-version", "3.11", "--quiet"]
        command += ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate"]
        command += [part for extra in extras for part in ("--extra", extra)]
        command += [*sys.argv[1:], "-o", f"requirements/{name}.txt"]
        subprocess.run(command, check=True, cwd=ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
