"""ClickHouse's compressed frames: a CityHash128 checksum, a method, two sizes, the data.

LZ4 and the checksum come from the packages clickhouse-driver's `lz4` extra installs; where they are missing, a client
that asks for compression is refused in one sentence.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any

from infra.local.clickhouse_gateway.errors import CANNOT_DECOMPRESS, SUPPORT_IS_DISABLED, EngineError
from infra.local.clickhouse_gateway.streams import ByteStream

FRAME_BYTES = 1 << 20
MAX_FRAME_BYTES = 1 << 30
_HEADER = struct.Struct("<BII")
_CHECKSUM = struct.Struct("<QQ")  # the high half first
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90


def optional_module(name: str) -> Any:
    """Return a module of the `lz4` extra's packages. Raises EngineError 344 when it is not installed."""
    try:
        return import_module(name)
    except ImportError as exc:
        raise EngineError(
            SUPPORT_IS_DISABLED,
            f"Compression needs the package {exc.name}: install clickhouse-driver[lz4], or switch compression off",
            "SUPPORT_IS_DISABLED",
        ) from exc


class Codec:
    """Packs and unpacks frames. Raises EngineError 344 when the packages it needs are not installed."""

    def __init__(self) -> None:
        block = optional_module("lz4.block")
        cityhash = optional_module("clickhouse_cityhash.cityhash")
        self._hash: Callable[[bytes], int] = cityhash.CityHash128
        self._compress: Callable[..., bytes] = block.compress
        self._decompress: Callable[..., bytes] = block.decompress

    def pack(self, data: bytes) -> bytes:
        """Return the data as LZ4 frames of at most a mebibyte each."""
        return b"".join(self._frame(data[at : at + FRAME_BYTES]) for at in range(0, len(data), FRAME_BYTES))

    def unpack(self, stream: ByteStream) -> bytes:
        """Read one frame. Raises EngineError 271 when it is damaged, Truncated when it is cut off."""
        checksum = stream.take(_CHECKSUM.size)
        header = stream.take(_HEADER.size)
        method, packed, size = _HEADER.unpack(header)
        if not _HEADER.size <= packed <= MAX_FRAME_BYTES or size > MAX_FRAME_BYTES:
            raise _damaged(f"sizes {packed} and {size} are out of range")
        body = header + stream.take(packed - _HEADER.size)
        if self._checksum(body) != checksum:
            raise _damaged("the checksum does not match")
        return self._expand(method, body[_HEADER.size :], size)

    def _frame(self, data: bytes) -> bytes:
        packed = self._compress(data, store_size=False)
        body = _HEADER.pack(_LZ4, _HEADER.size + len(packed), len(data)) + packed
        return self._checksum(body) + body

    def _checksum(self, body: bytes) -> bytes:
        high, low = divmod(self._hash(body), 1 << 64)
        return _CHECKSUM.pack(high, low)

    def _expand(self, method: int, packed: bytes, size: int) -> bytes:
        if method == _NONE:
            return packed
        try:
            if method == _LZ4:
                return self._decompress(packed, uncompressed_size=size)
            if method == _ZSTD:
                import zstandard

                return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        except Exception as exc:  # each library has its own error type
            raise _damaged(str(exc)) from exc
        raise _damaged(f"unknown compression method {method:#x}")


def _damaged(reason: str) -> EngineError:
    return EngineError(CANNOT_DECOMPRESS, f"A compressed frame cannot be read: {reason}", "CANNOT_DECOMPRESS")
