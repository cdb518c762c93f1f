"""Check that proto/ breaks no reader of the contracts of an earlier commit (buf breaking, FILE rules)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASES = ("origin/main", "HEAD")


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in the checkout and return what came of it."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def base() -> str | None:
    """Return the commit to compare with: what this branch left main at, else the last commit; None without one."""
    for name in BASES:
        found = git("merge-base", "HEAD", name)
        if found.returncode == 0 and git("cat-file", "-e", f"{name}:proto/buf.yaml").returncode == 0:
            return found.stdout.strip()
    return None


def main() -> int:
    """Return buf's exit code; 0 when there is no earlier commit with contracts."""
    against = base()
    if against is None:
        print("check_breaking: no earlier commit has contracts, nothing to compare with")
        return 0
    source = f"{(ROOT / '.git').as_uri()}#ref={against},subdir=proto"
    return subprocess.run(["buf", "breaking", "proto", "--against", source], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
