"""ClickHouse's Native blocks: found in a byte stream without decoding a value.

A block carries no length, so its end is found by walking its columns by type. The walk keeps nothing: bytes go from
the stream to the stream's tee as they pass, so a block of any size needs a few hundred kilobytes of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.local.clickhouse_gateway.errors import INCORRECT_DATA, EngineError
from infra.local.clickhouse_gateway.native_prefixes import read_prefix
from infra.local.clickhouse_gateway.native_revisions import CUSTOM_SERIALIZATION
from infra.local.clickhouse_gateway.native_types import TypeNode, parse_type
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated, text_bytes, varint_bytes

MAX_COLUMNS = 10_000
MAX_ROWS = 1 << 32
MAX_NAME_BYTES = 1 << 16
BLOCK_INFO = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # not an overflow block, no bucket

_PLAIN = b"\x00"  # a column in its type's own layout, not sparse
_LOW_CARDINALITY_NEEDS_GLOBAL = 1 << 8
_LOW_CARDINALITY_HAS_KEYS = 1 << 9
_STEP_ROWS = 1 << 16
_INDEX_BYTES = (1, 2, 4, 8)


@dataclass(frozen=True)
class BlockShape:
    """What a walk over a block saw: how many rows, and the columns' names and types."""

    rows: int
    columns: list[tuple[str, str]]
    type_spans: list[tuple[int, int]]  # where each type's name stands, its length included

    def rewritten(self, block: bytes, types: list[str], revision: int) -> bytes:
        """Return a block of `FORMAT Native` as a client of a revision reads it, with these names for its types."""
        parts, at, after_type = [], 0, _after_type(revision)
        for (start, end), name in zip(self.type_spans, types, strict=True):
            parts += [block[at:start], text_bytes(name), after_type]
            at = end
        return b"".join([*parts, block[at:]])


def skip_block_info(stream: ByteStream) -> None:
    """Read the numbered fields that precede a block on the native protocol."""
    while field := stream.varint():
        if field not in {1, 2}:
            raise EngineError(INCORRECT_DATA, f"Unknown BlockInfo field number: {field}", "INCORRECT_DATA")
        stream.skip(1 if field == 1 else 4)


def walk_block(stream: ByteStream, revision: int = 0, *, to_end: bool = True) -> BlockShape:
    """Pass one block, and return its shape; of the last column's data only with `to_end`.

    What clients of a revision send beyond `FORMAT Native`, which is revision 0, is left out of the tee. Raises
    EngineError 117 on a type or size it cannot walk, or Truncated.
    """
    columns, rows = _columns_and_rows(stream)
    if columns > MAX_COLUMNS or rows > MAX_ROWS:
        raise EngineError(INCORRECT_DATA, f"Suspicious block of {columns} columns and {rows} rows", "INCORRECT_DATA")
    seen, spans = [], []
    for at in range(columns):
        name, start = stream.text(MAX_NAME_BYTES), stream.consumed
        type_name = stream.text(MAX_NAME_BYTES)
        seen.append((name, type_name))
        spans.append((start, stream.consumed))
        if revision >= CUSTOM_SERIALIZATION and stream.leave_out(1) != _PLAIN:
            raise EngineError(INCORRECT_DATA, f"Column {name} is sparse; send it in full", "INCORRECT_DATA")
        if rows and (to_end or at < columns - 1):
            _skip_data(stream, read_prefix(stream, parse_type(type_name)), rows)
    return BlockShape(rows, seen, spans)


def block_shape(block: bytes) -> BlockShape | None:
    """Look at a block in memory, or return None when a column but the last has a type that cannot be walked."""
    try:
        return walk_block(ByteStream.over(block), to_end=False)
    except (EngineError, Truncated):
        return None


def split_blocks(data: bytes, rows: int) -> Iterator[bytes]:
    """Cut a `FORMAT Native` result of so many rows into its blocks; an unknown type leaves the rest in one piece."""
    stream = ByteStream.over(data)
    if _columns_and_rows(stream)[1] == rows:
        yield data
        return
    stream = ByteStream.over(data)
    start = 0
    while start < len(data):
        try:
            walk_block(stream)
        except (EngineError, Truncated):
            yield data[start:]
            return
        yield data[start : stream.consumed]
        start = stream.consumed


def header_block(columns: list[tuple[str, str]], revision: int = 0) -> bytes:
    """Build a block of no rows, which tells a client the columns' names and types."""
    parts = [varint_bytes(len(columns)), b"\x00"]
    for name, kind in columns:
        parts += [text_bytes(name), text_bytes(kind), _after_type(revision)]
    return b"".join(parts)


def _after_type(revision: int) -> bytes:
    return _PLAIN if revision >= CUSTOM_SERIALIZATION else b""


def _columns_and_rows(stream: ByteStream) -> tuple[int, int]:
    columns = stream.varint()
    return columns, stream.varint()


def _skip_data(stream: ByteStream, node: TypeNode, rows: int) -> None:
    if node.width:
        stream.skip(node.width * rows)
        return
    walker = _WALKERS.get(node.name)
    if walker is None:
        raise EngineError(
            INCORRECT_DATA,
            f"Data of type {node.name} cannot be sent over the native protocol of this gateway; insert it over HTTP",
            "INCORRECT_DATA",
        )
    walker(stream, node, rows)


def _skip_strings(stream: ByteStream, _node: TypeNode, rows: int) -> None:
    stream.skip_strings(rows)


def _skip_nullable(stream: ByteStream, node: TypeNode, rows: int) -> None:
    stream.skip(rows)
    _skip_data(stream, node.children[0], rows)


def _skip_array(stream: ByteStream, node: TypeNode, rows: int) -> None:
    """Pass offsets and elements; a Map or Nested is an array of tuples."""
    if not rows:
        return
    stream.skip(8 * (rows - 1))
    items = stream.uint64()
    if items > MAX_ROWS:
        raise EngineError(INCORRECT_DATA, f"Suspicious array of {items} elements", "INCORRECT_DATA")
    for child in node.children:
        _skip_data(stream, child, items)


def _skip_tuple(stream: ByteStream, node: TypeNode, rows: int) -> None:
    for child in node.children:
        _skip_data(stream, child, rows)


def _skip_variant(stream: ByteStream, node: TypeNode, rows: int) -> None:
    """Pass one discriminator a row, then each variant's own values in turn."""
    counts = [0] * len(node.children)
    left = rows
    while left:
        part = stream.take(min(left, _STEP_ROWS))
        left -= len(part)
        for at in range(len(counts)):
            counts[at] += part.count(at)
    for child, count in zip(node.children, counts, strict=True):
        _skip_data(stream, child, count)


def _skip_low_cardinality(stream: ByteStream, node: TypeNode, rows: int) -> None:
    left = rows
    while left > 0:
        flags = stream.uint64()
        if flags & _LOW_CARDINALITY_NEEDS_GLOBAL or flags & 0xFF >= len(_INDEX_BYTES):
            raise EngineError(INCORRECT_DATA, f"Unknown LowCardinality layout {flags:#x}", "INCORRECT_DATA")
        if flags & _LOW_CARDINALITY_HAS_KEYS:
            keys = stream.uint64()
            _skip_data(stream, _without_nullable(node.children[0]), min(keys, MAX_ROWS))
        count = stream.uint64()
        if not 0 < count <= left:
            raise EngineError(INCORRECT_DATA, f"LowCardinality carries {count} of {left} rows", "INCORRECT_DATA")
        stream.skip(count * _INDEX_BYTES[flags & 0xFF])
        left -= count


def _without_nullable(node: TypeNode) -> TypeNode:
    return node.children[0] if node.name == "Nullable" else node


_WALKERS: dict[str, Callable[[ByteStream, TypeNode, int], None]] = {
    "String": _skip_strings,
    "Nullable": _skip_nullable,
    "Array": _skip_array,
    "Map": _skip_array,
    "Nested": _skip_array,
    "Tuple": _skip_tuple,
    "Variant": _skip_variant,
    "LowCardinality": _skip_low_cardinality,
}
