"""Make sure that Go, Node and a JDK are here for the tests of foreign clients: `python -m scripts.install_toolchains`.

Installs Debian's packages when run by root where apt-get exists; otherwise says what to do and ends with 1. What the
programs are built from comes from the registries of their languages into `.cache`, at the versions of their locks.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import debian


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Programs that must all be there; `oldest` is the first one's version, as `version` prints it."""

    name: str
    programs: tuple[str, ...]
    packages: tuple[str, ...]
    version: tuple[str, ...]
    oldest: tuple[int, int]

    def advice(self) -> str:
        """Say what a person has to do."""
        wanted = ".".join(map(str, self.oldest))
        return (
            f"The tests of {self.name} clients need {' and '.join(self.programs)} on PATH, {wanted} or newer "
            f"(Debian: apt-get install {' '.join(self.packages)})."
        )


TOOLCHAINS: Mapping[str, Toolchain] = {
    # From 1.21 on it fetches the version that go.mod asks for
    "go": Toolchain("Go", ("go",), ("golang-go",), ("version",), (1, 21)),
    "node": Toolchain("Node", ("node", "npm"), ("nodejs", "npm"), ("--version",), (20, 0)),
    "java": Toolchain("Java", ("java", "javac"), ("default-jdk-headless",), ("--version",), (11, 0)),
}


class NoToolchain(Exception):  # the text is one sentence for the person who meets it
    """A toolchain is not here and could not be installed, or is too old."""


def ensure(name: str) -> Mapping[str, Path]:
    """Return where a toolchain's programs are, installing them where that is possible; raises NoToolchain."""
    wanted = TOOLCHAINS[name]
    found = _find(wanted.programs)
    if found is None:
        try:
            debian.install(wanted.packages)
        except debian.CannotInstall as exc:
            raise NoToolchain(f"{exc}{wanted.advice()}") from exc
        found = _find(wanted.programs)
    if found is None:
        raise NoToolchain(wanted.advice())
    have = _version(found[wanted.programs[0]], wanted.version)
    if have < wanted.oldest:
        raise NoToolchain(f"{wanted.programs[0]} {'.'.join(map(str, have))} is too old. {wanted.advice()}")
    return found


def _find(programs: Sequence[str]) -> Mapping[str, Path] | None:
    paths = {program: shutil.which(program) for program in programs}
    found = {program: Path(path) for program, path in paths.items() if path}
    return found if len(found) == len(paths) else None


def _version(program: Path, arguments: Sequence[str]) -> tuple[int, int]:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60, check=False)
    number = re.search(r"(\d+)\.(\d+)", done.stdout)
    return (int(number[1]), int(number[2])) if number else (0, 0)


def main() -> int:
    """Install, and say where the programs are."""
    try:
        for name in TOOLCHAINS:
            print(", ".join(f"{program}: {path}" for program, path in ensure(name).items()))
    except NoToolchain as exc:
        print(exc, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
