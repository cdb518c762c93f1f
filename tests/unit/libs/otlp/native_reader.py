"""Reads `FORMAT Native` back, type by type, so that what is written can be compared as values."""

from __future__ import annotations

import struct
from typing import Any

NUMBERS = {
    "UInt8": "B", "Bool": "?", "UInt16": "H", "UInt32": "I", "UInt64": "Q", "Int32": "i", "Int64": "q", "Float64": "d",
    "DateTime64(9)": "q",
}  # fmt: skip


class Reader:
    """A cursor over one block."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        assert self._at + size <= len(self._body), "the block ends too early"
        self._at += size
        return self._body[self._at - size : self._at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def string(self) -> str:
        return self.take(self.varint()).decode()

    def column(self, kind: str, rows: int) -> list[Any]:
        if kind == "String":
            return [self.string() for _ in range(rows)]
        if kind.startswith("Array("):
            return self._cut(lambda n: self.column(kind[6:-1], n), rows)
        if kind == "Map(String, String)":
            pairs = self._cut(
                lambda n: list(zip(self.column("String", n), self.column("String", n), strict=True)), rows
            )
            return [dict(items) for items in pairs]
        code = NUMBERS[kind]
        return list(struct.unpack(f"<{rows}{code}", self.take(rows * struct.calcsize(f"<{code}"))))

    def _cut(self, read: Any, rows: int) -> list[Any]:
        ends = self.column("UInt64", rows)
        items = read(ends[-1] if ends else 0)
        return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def rest(self) -> bytes:
        return self._body[self._at :]


def read_block(body: bytes) -> list[dict[str, Any]]:
    """Return the rows of one block as dictionaries; asserts that nothing is left over."""
    rows, rest = read_first_block(body)
    assert not rest
    return rows


def read_first_block(body: bytes) -> tuple[list[dict[str, Any]], bytes]:
    """Return the rows of the first block as dictionaries, and the bytes behind it."""
    reader = Reader(body)
    columns, rows = reader.varint(), reader.varint()
    data = {}
    for _ in range(columns):
        name, kind = reader.string(), reader.string()
        data[name] = reader.column(kind, rows)
    return [{name: values[i] for name, values in data.items()} for i in range(rows)], reader.rest()
