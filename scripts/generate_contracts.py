"""Generate libs/contracts from proto/: messages for every file, gRPC stubs only where a service is declared."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "libs" / "contracts"


def protoc(out: Path, files: list[Path], *plugins: str) -> None:
    """Run protoc on files with the given `--x_out` plugins, all writing below out."""
    well_known = resources.files("grpc_tools") / "_proto"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{well_known}"]
    command += [f"--{plugin}={out}" for plugin in plugins] + [str(f) for f in files]
    subprocess.run(command, check=True)


def generate(out: Path) -> None:
    """Write all generated code below out/incidentscope, replacing what was there."""
    shutil.rmtree(out / "incidentscope", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(PROTO.rglob("*.proto"))
    protoc(out, files, "python_out", "mypy_out")
    services = [f for f in files if "\nservice " in f.read_text()]
    protoc(out, services, "grpc_python_out", "mypy_grpc_out")


def main() -> int:
    """Regenerate, or with --check only say whether the committed code is current (exit 1 if not)."""
    if "--check" not in sys.argv[1:]:
        generate(OUT)
        return 0
    import filecmp
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = {p.relative_to(scratch): p for p in Path(scratch).rglob("*.py*") if "__pycache__" not in p.parts}
        kept = {p.relative_to(OUT) for p in (OUT / "incidentscope").rglob("*.py*") if "__pycache__" not in p.parts}
        stale = [str(r) for r, p in fresh.items() if r not in kept or not filecmp.cmp(p, OUT / r, shallow=False)]
        stale += [str(r) for r in kept - fresh.keys()]
    if stale:
        print(
            "generated contracts are out of date, run `make proto`:",
            *sorted(stale),
            sep="\n  ",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
