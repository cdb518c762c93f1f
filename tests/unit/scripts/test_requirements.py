"""The locks: complete, hashed, from wheels, with no address in them, and each import satisfied by the right one."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pytest

from scripts import lock_requirements
from scripts.lock_requirements import without_markers

ROOT = Path(__file__).resolve().parents[3]
OURS = {"libs", "services", "infra", "scripts", "tests", "incidentscope"}
LINE = re.compile(
    r"[a-z0-9][a-z0-9.-]*==[A-Za-z0-9.+!]+( ; [a-z_]+ [=<>!]+ '[\w.]+'( and [a-z_]+ [=<>!]+ '[\w.]+')*)? \\"
    r"|    --hash=sha256:[0-9a-f]{64}( \\)?"
)
NEEDS_MORE = {  # what is no part of running the suite, and the lock it stands on
    "scripts/bench_signatures.py": "bench",
}


def pins(lock: str) -> set[str]:
    """Return `name==version` for every pin of a lock."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return {line.split()[0] for line in text.splitlines() if not line.startswith(" ")}


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def providers() -> Mapping[str, set[str]]:
    """Return the distributions that hold each module, among those installed here."""
    found: dict[str, set[str]] = {}
    for distribution in distributions():
        for file in distribution.files or ():
            if file.suffix in (".py", ".so"):
                parts = [*file.parts[:-1], file.name.split(".")[0]]
                module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                found.setdefault(module, set()).add(normalized(distribution.metadata["Name"]))
    return found


def imports(file: Path) -> Iterator[str]:
    """Yield what a file imports from neither the standard library nor this repository."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            top = name.split(".")[0]
            if top not in OURS and top not in sys.stdlib_module_names and name in providers():
                yield name


def lock_of(file: Path) -> set[str]:
    """Return the names of the distributions a file may stand on."""
    name = file.relative_to(ROOT).as_posix()
    locks = ["runtime"] if name.startswith(("libs/", "services/")) else ["local", "java"]
    return {pin.split("==")[0] for lock in [*locks, *filter(None, [NEEDS_MORE.get(name)])] for pin in pins(lock)}


@pytest.mark.parametrize("lock", lock_requirements.FILES)
def test_locks_hold_pins_and_hashes_and_nothing_else(lock: str) -> None:
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()

    assert lines
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    unhashed = [a for a, b in zip(lines, [*lines[1:], ""], strict=True) if "==" in a and not b.startswith("    --hash")]
    assert unhashed == []


def test_each_lock_contains_the_one_before() -> None:
    assert pins("runtime") < pins("local") < pins("dev")
    assert pins("java") < pins("dev")
    assert pins("runtime") < pins("bench")


def test_only_what_the_benches_compare_with_may_come_as_source() -> None:
    sources = [name for name, options in lock_requirements.FILES.items() if "--only-binary" not in options]

    assert sources == ["bench"]
    assert not pins("local") & {"drain3==0.9.11", "lz4==3.0.1"}


@pytest.mark.parametrize("folder", ["libs", "services", "infra", "scripts"])
def test_every_import_is_satisfied_by_the_lock_of_its_place(folder: str) -> None:
    files = [file for file in (ROOT / folder).rglob("*.py") if "contracts" not in file.parts]
    missing = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in files
        for name in imports(file)
        if not providers()[name] & lock_of(file)
    }

    assert len(files) > 10
    assert missing == set()


def test_contracts_stand_on_the_runtime_lock() -> None:
    files = list((ROOT / "libs" / "contracts").rglob("*.py"))
    needed = {name for file in files for name in imports(file)}

    assert needed
    assert [name for name in needed if not providers()[name] & lock_of(files[0])] == []


def test_markers_that_hold_everywhere_are_left_out() -> None:
    lock = (
        "a==1 ; x == 'y' and z != 'w' \\\n    --hash=sha256:00\nb==2 ; p < '3' and x == 'y' \\\n    --hash=sha256:01\n"
    )

    shorter = without_markers(lock, ["x == 'y'", "z != 'w'"])

    assert shorter == "a==1 \\\n    --hash=sha256:00\nb==2 ; p < '3' \\\n    --hash=sha256:01\n"


def test_what_holds_everywhere_is_what_the_project_says_it_runs_on() -> None:
    assert "python_full_version < '3.15'" in lock_requirements.everywhere()


def test_locking_without_uv_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")

    assert lock_requirements.main() == 2
    assert capsys.readouterr().err == "lock: there is no `uv` on the PATH: install it (`pip install uv`)\n"
