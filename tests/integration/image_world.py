"""What the image holds, without building it: the packages of runtime.txt and the files its Dockerfile copies."""

from __future__ import annotations

import os
import re
import venv
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "runtime.txt"
DOCKERFILE = ROOT / "infra" / "docker" / "Dockerfile"


def pinned() -> Iterator[Requirement]:
    """Yield what runtime.txt has for this Python."""
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\"))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


def runtime_python(folder: Path) -> Path:
    """Make a virtual environment of the packages in runtime.txt and no other; return its Python.

    Its files are links to those installed beside the tests, so that it takes a second and no network. Raises
    AssertionError where that is another version than the lock has.
    """
    venv.create(folder, symlinks=True, with_pip=False)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for requirement in pinned():
        found = metadata.distribution(requirement.name)
        assert found.version in requirement.specifier, f"{requirement} is pinned, {found.version} installed: make setup"
        _link(found, packages)
    return folder / "bin" / "python"


def _link(found: metadata.Distribution, packages: Path) -> None:
    for file in found.files or ():
        if file.parts[0] != ".." and file.suffix != ".pyc":
            link = packages / file
            link.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # two packages may bring the same folder marker
                link.symlink_to(Path(str(found.locate_file(file))))


def copied(folder: Path) -> Path:
    """Return a folder with what the Dockerfile copies from here into the image, as links, save `libs`.

    That is read from its own place, where its compiled code is cached already.
    """
    last_stage = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    copies = dict(re.findall(r"^COPY (\w\S*) (\S+)$", last_stage, re.MULTILINE))
    assert copies.pop("libs") == "libs"
    for source, target in copies.items():
        link = folder / target
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / source)
    return folder


def environment(app: Path, python: Path) -> dict[str, str]:
    """Return what the Dockerfile sets, and the cache of compiled code that is warm already."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "PYTHONPATH": f"{app}:{ROOT}:{ROOT}/libs/contracts",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CACHE_HOME": cache,
    }
