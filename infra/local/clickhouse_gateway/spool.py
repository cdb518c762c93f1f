"""Insert data on its way to the engine: a temporary file, so that an insert of any size takes little memory.

The engine's streaming insert would need no file, but it loses errors: a violated constraint, a failing materialized
view or a refused part end in success there. Inserts therefore run as one statement over a complete file, which
reports every error, and starts only when the client has sent everything.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from infra.local.clickhouse_gateway.errors import QUERY_IS_TOO_LARGE, EngineError

_PREFIX = "insert-"
_COPY_BYTES = 1 << 20


class SpoolFolder:
    """A folder of spool files; what a killed process left behind is removed when it is opened."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        path.mkdir(parents=True, exist_ok=True)
        for left in path.glob(f"{_PREFIX}*"):
            left.unlink(missing_ok=True)

    def file(self) -> SpoolFile:
        """Open an empty spool file."""
        return SpoolFile(self._path, self._most_bytes)


class SpoolFile:
    """The data of one insert, at most `most_bytes`; gone when closed."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.path = folder / f"{_PREFIX}{uuid.uuid4().hex}"
        self._file: io.RawIOBase | None = None  # most of them stay empty, and are never made
        self._most_bytes = most_bytes
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Append bytes. Raises EngineError 229 beyond the limit."""
        self.size += len(data)
        if self.size > self._most_bytes:
            raise EngineError(
                QUERY_IS_TOO_LARGE,
                f"The data of one insert is limited to {self._most_bytes} bytes; send it in several inserts",
                "QUERY_IS_TOO_LARGE",
            )
        if self._file is None and data:
            self._file = self.path.open("xb", buffering=0)
        while data and self._file is not None:
            data = data[self._file.write(data) or 0 :]

    def head(self, most: int) -> bytes:
        """Return the first bytes."""
        return self.read(0, most)

    def read(self, offset: int, most: int) -> bytes:
        """Return bytes from an offset on."""
        if offset >= self.size:
            return b""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(most)

    def copy_from(self, other: SpoolFile, offset: int) -> None:
        """Append what another file holds from an offset on."""
        if offset >= other.size:
            return
        with other.path.open("rb") as file:
            file.seek(offset)
            while data := file.read(_COPY_BYTES):
                self.write(data)

    def replace(self, pieces: Iterator[bytes]) -> None:
        """Put other content in place of this one; the pieces may be made from the old content."""
        if not self.size:
            return
        old = self.path.rename(self.path.with_suffix(".old"))
        self.close()
        self.size = 0
        try:
            for piece in pieces:
                self.write(piece)
        finally:
            old.unlink()

    def close(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()
