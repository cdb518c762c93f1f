"""Insert data on its way to the engine: a temporary file, so that an insert of any size takes little memory.

The engine's streaming insert would need no file, but it loses errors: a violated constraint, a failing materialized
view or a refused part end in success there. Inserts therefore run as one statement over a complete file, which
reports every error, and starts only when the client has sent everything.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

from infra.local.clickhouse_gateway.errors import QUERY_IS_TOO_LARGE, EngineError

_PREFIX = "insert-"


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
        self._file = tempfile.NamedTemporaryFile(dir=folder, prefix=_PREFIX, buffering=0, delete=False)  # noqa: SIM115
        self._most_bytes = most_bytes
        self.path = Path(self._file.name)
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
        while data:
            data = data[self._file.write(data) :]

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(self, _type: type[BaseException] | None, _value: BaseException | None, _at: TracebackType | None) -> None:
        self.close()
