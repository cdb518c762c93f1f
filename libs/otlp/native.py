"""ClickHouse `FORMAT Native`, written column by column.

A block is: number of columns, number of rows, then for each column its name, its type and its data. Only the
types our tables need are here; the server takes a plain `String` for `LowCardinality(String)`, also inside maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np

Encode = Callable[[Sequence[Any]], bytes]


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A ClickHouse type by name, and the function that writes a column of it."""

    name: str
    encode: Encode


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: ColumnType


def varint(value: int) -> bytes:
    """Return an unsigned LEB128 number, at most 64 bits; raises ValueError when negative."""
    if value < 0:
        raise ValueError(f"a varint is unsigned: {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(value: str | bytes) -> bytes:
    """Return a string as its length and its bytes; lone surrogates become question marks."""
    raw = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return (_SHORT[len(raw)] if len(raw) < 128 else varint(len(raw))) + raw


_SHORT: Final = tuple(bytes((n,)) for n in range(128))


def _strings(values: Sequence[str]) -> bytes:
    seen = dict.fromkeys(values)
    encoded = {value: encode_string(value) for value in seen}
    return b"".join([encoded[value] for value in values])


def _numbers(dtype: str) -> Encode:
    def encode(values: Sequence[Any]) -> bytes:
        return np.array(values, dtype=dtype).tobytes()

    return encode


STRING: Final = ColumnType("String", _strings)
BOOL: Final = ColumnType("Bool", _numbers("u1"))
UINT8: Final = ColumnType("UInt8", _numbers("u1"))
UINT16: Final = ColumnType("UInt16", _numbers("<u2"))
UINT32: Final = ColumnType("UInt32", _numbers("<u4"))
UINT64: Final = ColumnType("UInt64", _numbers("<u8"))
INT32: Final = ColumnType("Int32", _numbers("<i4"))
INT64: Final = ColumnType("Int64", _numbers("<i8"))
FLOAT64: Final = ColumnType("Float64", _numbers("<f8"))
NANOSECONDS: Final = ColumnType("DateTime64(9)", _numbers("<i8"))  # Unix time in nanoseconds


@dataclass(frozen=True, slots=True)
class EncodedMap:
    """A `Map(String, String)` value already written: attributes of a resource repeat on each of its rows."""

    size: int
    keys: bytes
    values: bytes


def encode_map(items: Iterable[tuple[str, str]]) -> EncodedMap:
    """Return the encoded map of the pairs, sorted by key; of equal keys the last counts."""
    pairs = sorted(dict(items).items())
    return EncodedMap(
        len(pairs),
        b"".join([encode_string(key) for key, _ in pairs]),
        b"".join([encode_string(value) for _, value in pairs]),
    )


def _offsets(sizes: Sequence[int]) -> bytes:
    return np.cumsum(np.array(sizes, dtype="<u8"), dtype="<u8").tobytes()


def _maps(values: Sequence[EncodedMap]) -> bytes:
    keys = b"".join([value.keys for value in values])
    return _offsets([value.size for value in values]) + keys + b"".join([value.values for value in values])


MAP: Final = ColumnType("Map(String, String)", _maps)


def array_of(inner: ColumnType) -> ColumnType:
    """Return the type of arrays of `inner`; a value is a sequence of inner values."""

    def encode(values: Sequence[Sequence[Any]]) -> bytes:
        return _offsets([len(value) for value in values]) + inner.encode(list(chain.from_iterable(values)))

    return ColumnType(f"Array({inner.name})", encode)


def block(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """Return one block of rows, each a sequence of values in the order of `columns`; it may be empty.

    Raises OverflowError when a number does not fit its type.
    """
    values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    parts = [varint(len(columns)), varint(len(rows))]
    for column, data in zip(columns, values, strict=True):
        parts += [encode_string(column.name), encode_string(column.type.name), column.type.encode(data)]
    return b"".join(parts)
