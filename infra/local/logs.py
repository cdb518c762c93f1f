"""Showing what the parts logged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.local.errors import tail

POLL_SECONDS = 0.3


def last_lines(files: Mapping[str, Path], lines: int) -> Iterator[str]:
    """Yield the last lines of each log, after the part's name when there are several."""
    for name, path in files.items():
        if len(files) > 1:
            yield f"==> {name} <=="
        yield from tail(path, lines)


def follow(files: Mapping[str, Path]) -> Iterator[str]:
    """Yield what is appended from now on, until interrupted."""
    places = {name: _size(path) for name, path in files.items()}
    while True:
        for name, path in files.items():
            text, places[name] = _appended(path, places[name])
            prefix = f"{name} | " if len(files) > 1 else ""
            yield from (prefix + line for line in text.splitlines())
        time.sleep(POLL_SECONDS)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _appended(path: Path, place: int) -> tuple[str, int]:
    """Return the whole lines after `place`, and where they end; start over when the file was set aside."""
    if _size(path) < place:
        place = 0
    if _size(path) == place:
        return "", place
    with path.open("rb") as stream:
        stream.seek(place)
        data = stream.read()
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode("utf-8", "replace"), place + len(whole)
