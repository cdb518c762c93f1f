"""A buffered reader of ClickHouse's wire primitives that can copy what passes to a sink."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from infra.local.clickhouse_gateway.errors import INCORRECT_DATA, EngineError

READ_BYTES = 1 << 18
_MAX_VARINT_BYTES = 10


class Truncated(Exception):
    """The stream ended inside a value."""


class Sink(Protocol):
    """Takes the bytes that pass a stream."""

    def write(self, data: memoryview, /) -> object:
        """Take bytes; they are only valid during the call."""
        ...


class ByteStream:
    """Reads varints, strings and numbers from `read(most)`, which returns no bytes at the end of the stream.

    While a tee is set, every byte that is passed also goes to the tee, in order. Not thread-safe.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = bytearray()
        self._at = 0
        self._mark = 0
        self._dropped = 0
        self._tee: Sink | None = None

    @classmethod
    def over(cls, data: bytes) -> ByteStream:
        """Return a stream over bytes in memory."""
        chunks = [data]
        return cls(lambda _most: chunks.pop() if chunks else b"")

    @property
    def consumed(self) -> int:
        """How many bytes have been passed since the start."""
        return self._dropped + self._at

    @property
    def buffered(self) -> int:
        """How many bytes are at hand without reading."""
        return len(self._buffer) - self._at

    def start_tee(self, sink: Sink) -> None:
        """Copy everything passed from here on to the sink."""
        self._tee, self._mark = sink, self._at

    def stop_tee(self) -> None:
        """Hand over what is outstanding, and stop copying."""
        self._hand_over()
        self._tee = None

    def leave_out(self, count: int) -> bytes:
        """Return the next bytes without copying them to the tee. Raises Truncated."""
        self._hand_over()
        data = self.take(count)
        self._mark = self._at
        return data

    def at_end(self) -> bool:
        """Tell whether the other side has closed the stream; waits for the next byte."""
        return not self.buffered and not self._fill()

    def take(self, count: int) -> bytes:
        """Return the next bytes. Raises Truncated."""
        self._require(count)
        start = self._at
        self._at += count
        return bytes(self._buffer[start : self._at])

    def skip(self, count: int) -> None:
        """Pass bytes, however many, in bounded memory. Raises Truncated."""
        while True:
            step = min(count, self.buffered)
            self._at += step
            count -= step
            if not count:
                return
            self._require(1)

    def byte(self) -> int:
        """Read one byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """Read an unsigned LEB128 number. Raises EngineError 117 when it is longer than 64 bits."""
        value = shift = 0
        for _ in range(_MAX_VARINT_BYTES):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise EngineError(INCORRECT_DATA, "A number in the stream is longer than 64 bits", "INCORRECT_DATA")

    def uint64(self) -> int:
        """Read a little-endian 64-bit number."""
        return int.from_bytes(self.take(8), "little")

    def text(self, most: int) -> str:
        """Read a length-prefixed string of at most `most` bytes. Raises EngineError 117 beyond, or when not UTF-8."""
        raw = self.raw(most)
        try:
            return raw.decode()
        except UnicodeDecodeError as exc:
            raise EngineError(INCORRECT_DATA, f"A string in the stream is not UTF-8: {exc}", "INCORRECT_DATA") from exc

    def raw(self, most: int) -> bytes:
        """Read length-prefixed bytes."""
        size = self.varint()
        if size > most:
            raise EngineError(INCORRECT_DATA, f"A string of {size} bytes is longer than {most}", "INCORRECT_DATA")
        return self.take(size)

    def skip_strings(self, count: int) -> None:
        """Pass length-prefixed strings; the short ones without a function call each."""
        while count:
            buffer, at, end = self._buffer, self._at, len(self._buffer)
            while count and at < end:
                size = buffer[at]
                after = at + 1 + size
                if size >= 0x80 or after > end:
                    break
                at = after
                count -= 1
            self._at = at
            if count:
                self.skip(self.varint())
                count -= 1

    def _require(self, count: int) -> None:
        while self.buffered < count:
            if not self._fill():
                raise Truncated

    def _fill(self) -> bool:
        self._hand_over()
        del self._buffer[: self._at]
        self._dropped += self._at
        self._at = self._mark = 0
        data = self._read(READ_BYTES)
        self._buffer += data
        return bool(data)

    def _hand_over(self) -> None:
        if self._tee is not None and self._at > self._mark:
            with memoryview(self._buffer) as view, view[self._mark : self._at] as part:
                self._tee.write(part)
        self._mark = self._at


def varint_bytes(value: int) -> bytes:
    """Write an unsigned LEB128 number."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def text_bytes(text: str) -> bytes:
    """Write a length-prefixed string."""
    raw = text.encode()
    return varint_bytes(len(raw)) + raw


def uint8_bytes(value: int) -> bytes:
    """Write one byte."""
    return struct.pack("<B", value)


def int32_bytes(value: int) -> bytes:
    """Write a little-endian signed 32-bit number."""
    return struct.pack("<i", value)
