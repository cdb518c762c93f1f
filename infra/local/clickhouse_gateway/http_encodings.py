"""The Content-Encodings of requests and answers: gzip, deflate, zstd and lz4."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from infra.local.clickhouse_gateway.compression import optional_module
from infra.local.clickhouse_gateway.errors import CANNOT_DECOMPRESS, NOT_IMPLEMENTED, EngineError

ENCODINGS = ("gzip", "deflate", "zstd", "lz4")  # by preference
_WINDOW_BITS = {"gzip": 31, "deflate": 15}
_LEVEL = 3
_STEP_BYTES = 1 << 18
_ZSTD_PIECE = 256  # bytes in; a run of 128 KiB takes four of them, so at most 8 MiB come out of a piece


class Packer(Protocol):
    """Packs a body piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Take a piece; return what is ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


def choose_encoding(accepted: str) -> str:
    """Return the encoding for a client's Accept-Encoding, or an empty string when it takes none of ours."""
    weights = dict(_weighed(part) for part in accepted.lower().split(","))
    return next((name for name in ENCODINGS if weights.get(name, "0") not in {"0", "0.0", "0.00", "0.000"}), "")


def _weighed(part: str) -> tuple[str, str]:
    name, _, weight = part.partition(";")
    return name.strip(), weight.replace(" ", "").removeprefix("q=") or "1"


def new_packer(encoding: str) -> Packer:
    """Return a packer for one of ENCODINGS. Raises EngineError 344 when its package is not installed."""
    if encoding == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(_LEVEL).compressobj()
    if encoding == "lz4":
        return _Lz4Packer()
    return zlib.compressobj(_LEVEL, wbits=_WINDOW_BITS[encoding])


def packed(packer: Packer, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pack pieces; what is not ready yet is not yielded."""
    for piece in pieces:
        if data := packer.compress(piece):
            yield data
    yield packer.flush()


class _Lz4Packer:
    """An lz4 frame, whose header comes with its first bytes."""

    def __init__(self) -> None:
        self._frame: Any = optional_module("lz4.frame").LZ4FrameCompressor()
        self._header: bytes = self._frame.begin()

    def compress(self, data: bytes, /) -> bytes:
        header, self._header = self._header, b""
        return header + bytes(self._frame.compress(data))

    def flush(self) -> bytes:
        return self._header + bytes(self._frame.flush())


class BodyDecoder:
    """Undoes a Content-Encoding piece by piece, passing at most a quarter of a mebibyte at a time to `sink`."""

    def __init__(self, encoding: str, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._encoding = encoding.strip().lower()
        self._feed = self._feeder()
        self._complete = True

    def feed(self, data: bytes) -> None:
        """Decode some bytes. Raises EngineError 271 when they are damaged."""
        if data:
            self._feed(data)

    def finish(self) -> None:
        """Raise EngineError 271 when the body ended too early."""
        if not self._complete:
            raise EngineError(CANNOT_DECOMPRESS, f"The {self._encoding} body is cut off", "CANNOT_DECOMPRESS")

    def _feeder(self) -> Callable[[bytes], None]:
        if self._encoding in {"", "identity"}:
            return self._sink
        if self._encoding in _WINDOW_BITS:
            self._zlib = zlib.decompressobj(wbits=_WINDOW_BITS[self._encoding])
            return self._inflate
        if self._encoding == "zstd":
            import zstandard

            self._zstd = zstandard.ZstdDecompressor().decompressobj(write_size=_STEP_BYTES)
            return self._unzstd
        if self._encoding == "lz4":
            self._lz4 = optional_module("lz4.frame").LZ4FrameDecompressor()
            return self._unlz4
        raise EngineError(
            NOT_IMPLEMENTED,
            f"Content-Encoding {self._encoding[:40]!r} is not one of {', '.join(ENCODINGS)}",
            "NOT_IMPLEMENTED",
        )

    def _inflate(self, data: bytes) -> None:
        try:
            while data and not self._zlib.eof:
                self._sink(self._zlib.decompress(data, _STEP_BYTES))
                data = self._zlib.unconsumed_tail
        except zlib.error as exc:
            raise self._damaged(exc) from exc
        self._complete = self._zlib.eof

    def _unzstd(self, data: bytes) -> None:
        import zstandard

        try:
            for at in range(0, len(data), _ZSTD_PIECE):
                self._sink(self._zstd.decompress(data[at : at + _ZSTD_PIECE]))
        except zstandard.ZstdError as exc:
            raise self._damaged(exc) from exc
        self._complete = self._zstd.eof

    def _unlz4(self, data: bytes) -> None:
        try:
            while data or not (self._lz4.needs_input or self._lz4.eof):
                self._sink(self._lz4.decompress(data, _STEP_BYTES))
                data = b""
        except (RuntimeError, EOFError) as exc:
            raise self._damaged(exc) from exc
        self._complete = self._lz4.eof

    def _damaged(self, exc: Exception) -> EngineError:
        return EngineError(CANNOT_DECOMPRESS, f"The body is not {self._encoding}: {exc}", "CANNOT_DECOMPRESS")
