"""Finds the recorded sets in a folder, unpacked or as archives, and keeps parsed cases in a cache folder."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.rca import online_boutique, petshop, train_ticket
from tests.bench.rca.case import Case

ADAPTERS: dict[str, tuple[str, Callable[[Path], Iterator[Case]]]] = {
    train_ticket.NAME: (train_ticket.FOLDER, train_ticket.cases),
    online_boutique.NAME: (online_boutique.FOLDER, online_boutique.cases),
    petshop.NAME: (petshop.FOLDER, petshop.cases),
}


def available(data: Path) -> list[str]:
    """Return the names of the sets a folder holds."""
    return [
        name for name, (folder, _) in ADAPTERS.items() if _archive(data, folder).exists() or (data / folder).is_dir()
    ]


def _archive(data: Path, folder: str) -> Path:
    return data / f"{folder}.tar.xz"


def cases(name: str, data: Path, cache: Path) -> Iterator[Case]:
    """Yield a set's cases one at a time, parsed on the first run and read from the cache later."""
    folder, adapter = ADAPTERS[name]
    source = _archive(data, folder) if _archive(data, folder).exists() else data / folder
    parsed = cache / f"{name}-{_fingerprint(source)}"
    if not (parsed / "complete").exists():
        parsed.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(adapter(_unpacked(source, folder, cache))):
            (parsed / f"{number:04d}.pickle").write_bytes(pickle.dumps(case))
        (parsed / "complete").touch()
    for path in sorted(parsed.glob("*.pickle")):
        yield pickle.loads(path.read_bytes())  # our own file: nothing foreign is ever unpickled


def _unpacked(source: Path, folder: str, cache: Path) -> Path:
    if source.is_dir():
        return source
    target = cache / f"unpacked-{_fingerprint(source)}"
    if not (target / folder).is_dir():
        with tarfile.open(source) as archive:
            _extract(archive, target.resolve())
    return target / folder


def _extract(archive: tarfile.TarFile, target: Path) -> None:
    """Write the archive's files below the folder, and nothing elsewhere; `filter="data"` came with Python 3.11.4."""
    for member in archive:
        path = (target / member.name).resolve()
        stream = archive.extractfile(member) if path.is_relative_to(target) else None
        if stream is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stream.read())


def _fingerprint(source: Path) -> str:
    """Return what changes when the data or the adapters do."""
    digest = hashlib.sha256()
    for path in (*sorted(Path(__file__).parent.glob("*.py")), source):
        if path.name in ADAPTER_FILES or path == source:
            about = path.stat()
            digest.update(f"{path} {about.st_size} {about.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


ADAPTER_FILES = {
    "case.py",
    "pods.py",
    "recording.py",
    "rollup.py",
    "train_ticket.py",
    "online_boutique.py",
    "petshop.py",
}
