"""How this package compiles functions, and where the compiled code is kept.

numba notices a changed source file only for the functions of that file, not for those that call them. The folder is
therefore named after the sources of all compiled functions: no release ever runs the machine code of another one.
"""

from __future__ import annotations

import hashlib
import os
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


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


FOLDER: Final = cache_folder(dict(os.environ))
CACHED: Final = _writable(FOLDER)


def compiled(function: F) -> F:
    """Compile a function when it is first called, or load it from the cache; it runs without the GIL."""
    previous = config.CACHE_DIR
    config.CACHE_DIR = str(FOLDER)
    try:
        return cast(F, njit(cache=CACHED, nogil=True)(function))
    finally:
        config.CACHE_DIR = previous
