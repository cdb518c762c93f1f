"""Take out of a virtual environment what running does not need: `python slim.py /opt/venv`.

Goes: installers, the packages' own tests, headers and sources of C, type stubs, and what only debuggers read in shared
libraries. The standard library alone, since this runs in the image's build stage.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

INSTALLERS = ("pip", "pip-*.dist-info", "setuptools", "setuptools-*.dist-info", "_distutils_hack", "distutils-precedence.pth", "pkg_resources")  # fmt: skip  # noqa: E501
UNUSED_FOLDERS = ("tests", "include", "f2py", "distutils")  # the last two: numpy's wrapping of Fortran, its old builds
UNUSED_SUFFIXES = frozenset({".pyi", ".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".h", ".hpp", ".a", ".lib", ".f90"})
ELF64 = b"\x7fELF\x02\x01"
PROGRAM_HEADER_BYTES = 56
MIB = 1 << 20


def slim(environment: Path) -> None:
    """Do it; raises OSError, and ValueError when the folder is no virtual environment."""
    if not (environment / "pyvenv.cfg").is_file():
        raise ValueError(f"{environment} is no virtual environment: it has no pyvenv.cfg")
    for packages in environment.glob("lib/python3*/site-packages"):
        for unused in list(_unused(packages)):
            _remove(unused)
        for library in list(_libraries(packages)):
            without_symbols(library)
    for script in environment.glob("bin/pip*"):
        script.unlink()


def _unused(packages: Path) -> Iterator[Path]:
    for pattern in INSTALLERS:
        yield from packages.glob(pattern)
    for path in packages.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            if path.name in UNUSED_FOLDERS or path.name == "__pycache__":
                yield path
        elif path.suffix in UNUSED_SUFFIXES:
            yield path


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)  # its folder may have gone before


def _libraries(packages: Path) -> Iterator[Path]:
    return (path for path in packages.rglob("*.so*") if path.is_file() and not path.is_symlink())


def without_symbols(library: Path) -> int:
    """Cut off what lies behind the last segment that is loaded, symbols and debug data; return the bytes saved.

    The loader reads program headers only, so the section headers, which name what was cut, go too. Files of other
    kinds than 64-bit little-endian ELF stay as they are.
    """
    with library.open("r+b") as file:
        header = file.read(64)
        if len(header) < 64 or not header.startswith(ELF64):
            return 0
        (start,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        if size != PROGRAM_HEADER_BYTES:
            return 0
        file.seek(start)
        segments = struct.iter_unpack("<IIQQQQQQ", file.read(size * count))
        end: int = max([start + size * count, *(offset + length for _, _, offset, _, _, length, _, _ in segments)])
        before = file.seek(0, 2)
        if end >= before:
            return 0
        file.truncate(end)
        file.seek(40)
        file.write(struct.pack("<Q", 0))  # where the section headers are,
        file.seek(58)
        file.write(struct.pack("<HHH", 64, 0, 0))  # how many, and which names them
        return before - end


def size_mib(folder: Path) -> float:
    """Return what the files below it take, in MiB."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / MIB


def main() -> int:
    """Slim one environment and say by how much; exit code 1 with one sentence when it cannot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path)
    environment: Path = parser.parse_args().environment
    try:
        before = size_mib(environment)
        slim(environment)
    except (OSError, ValueError) as exc:
        print(f"slim: {exc}", file=sys.stderr)
        return 1
    print(f"slim: {environment} had {before:.0f} MiB, has {size_mib(environment):.0f} MiB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
