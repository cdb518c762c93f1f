"""How this package compiles functions, and where the compiled code is kept.

numba notices a changed source file only for the functions of that file, not for those that call them. The folder is
therefore named after the sources of all compiled functions: no release ever runs the machine code of another one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import config, njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

SOURCES: Final = ("raw.py", "wire.py", "numerals.py", "sorting.py", "shred.py", "emit.py", "fingerprint.py")

F = TypeVar("F", bound=Callable[..., Any])


def cache_folder(environment: dict[str, str]) -> Path:
    """Return the folder of this release's compiled code: in NUMBA_CACHE_DIR if set, else in the user's cache."""
    digest = hashlib.blake2b(digest_size=8)
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    if given := environment.get("NUMBA_CACHE_DIR"):
        return Path(given) / f"otlp-{digest.hexdigest()}"
    base = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "incidentscope" / f"otlp-{digest.hexdigest()}"


def usable_folder(folder: Path, scratch: Path | None) -> Path | None:
    """Return the folder to read and keep compiled code in, or None where there is none to keep it in.

    On a read-only root, such as an image's, that is a copy in a folder of `scratch` that is this user's alone: numba
    reads no cache it cannot write to, and runs what it reads.
    """
    if _writable(folder):
        return folder
    if scratch is None:
        return None
    own = scratch / f"incidentscope-{os.getuid()}"
    copy = own / folder.name
    try:
        own.mkdir(mode=0o700, exist_ok=True)
        if not _is_ours_alone(own):
            return None
        if folder.is_dir() and not copy.exists():
            _copy(folder, copy)
    except OSError:
        return None
    return copy if _writable(copy) else None


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _scratch() -> Path | None:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:  # nothing at all can be written
        return None


def _is_ours_alone(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _copy(folder: Path, to: Path) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=to.parent))
    shutil.copytree(folder, unfinished / to.name)
    try:
        (unfinished / to.name).rename(to)
    except OSError:
        if not to.is_dir():  # else another process was quicker
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


FOLDER: Final = cache_folder(dict(os.environ))
USED: Final = usable_folder(FOLDER, _scratch())
CACHED: Final = USED is not None


def compiled(function: F) -> F:
    """Compile a function when it is first called, or load it from the cache; it runs without the GIL."""
    previous = config.CACHE_DIR
    config.CACHE_DIR = str(USED or FOLDER)
    try:
        return cast(F, njit(cache=CACHED, nogil=True)(function))
    finally:
        config.CACHE_DIR = previous
