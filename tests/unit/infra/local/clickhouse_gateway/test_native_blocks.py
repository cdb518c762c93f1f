"""Finding the end of Native blocks, whatever is in them and however they arrive."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable

import pytest

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.native_blocks import (
    BLOCK_INFO,
    block_shape,
    header_block,
    skip_block_info,
    split_blocks,
    walk_block,
)
from infra.local.clickhouse_gateway.native_revisions import CUSTOM_SERIALIZATION
from infra.local.clickhouse_gateway.native_types import TypeNode, parse_type
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated, text_bytes, varint_bytes


def _block(rows: int, *columns: tuple[str, str, bytes]) -> bytes:
    head = varint_bytes(len(columns)) + varint_bytes(rows)
    return head + b"".join(text_bytes(name) + text_bytes(kind) + data for name, kind, data in columns)


def _u64(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


STRINGS = text_bytes("") + text_bytes("x" * 200) + text_bytes("ab")
LOW = _u64(1) + _u64(0x600, 2) + text_bytes("") + text_bytes("a") + _u64(3) + b"\x00\x01\x01"
CASES = {
    "numbers": _block(3, ("a", "UInt64", b"\x01" * 24), ("b", "UUID", b"\x02" * 48)),
    "strings": _block(3, ("s", "String", STRINGS), ("f", "FixedString(5)", b"x" * 15)),
    "nullable": _block(3, ("n", "Nullable(String)", b"\x00\x01\x00" + STRINGS)),
    "array": _block(2, ("a", "Array(Array(UInt8))", _u64(2, 3) + _u64(1, 1, 4) + b"\x07" * 4)),
    "empty array": _block(2, ("a", "Array(String)", _u64(0, 0))),
    "low cardinality": _block(3, ("l", "LowCardinality(Nullable(String))", LOW)),
    "array of low": _block(1, ("l", "Array(LowCardinality(String))", LOW[:8] + _u64(3) + LOW[8:])),
    "map": _block(1, ("m", "Map(LowCardinality(String), String)", LOW[:8] + _u64(3) + LOW[8:] + STRINGS)),
    "empty map": _block(1, ("m", "Map(LowCardinality(String), String)", LOW[:8] + _u64(0))),
    "tuple": _block(3, ("t", "Tuple(a String, `b c` Int8)", STRINGS + b"\x01\x02\x03")),
    "variant": _block(3, ("v", "Variant(String, UInt8)", _u64(0) + b"\x01\xff\x00" + text_bytes("hi") + b"\x09")),
    "json": _block(
        2,
        ("j", "JSON", _u64(2) + b"\x01" + text_bytes("a") + _u64(2) + b"\x01" + text_bytes("Int64") + _u64(0)
         + b"\x00\xff" + _u64(5) + _u64(0, 0)),
    ),
    "no rows": _block(0, ("a", "Array(LowCardinality(String))", b""), ("b", "Whatever(1)", b"")),
    "nothing": b"\x00\x00",
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_block_ends_where_it_ends(name: str) -> None:
    block = CASES[name]
    stream = ByteStream.over(block + b"next")
    walk_block(stream)
    assert stream.consumed == len(block)


@pytest.mark.parametrize("name", CASES)
def test_a_block_may_arrive_byte_by_byte_and_is_copied_whole(name: str) -> None:
    block = CASES[name]
    left = iter([*(bytes([byte]) for byte in BLOCK_INFO + block), b""])
    stream, copy = ByteStream(lambda _most: next(left)), bytearray()
    skip_block_info(stream)
    stream.start_tee(_Copy(copy))
    walk_block(stream)
    stream.stop_tee()
    assert bytes(copy) == block


@pytest.mark.parametrize("name", [name for name in CASES if name != "nothing"])
def test_a_block_cut_anywhere_is_noticed(name: str) -> None:
    block = CASES[name]
    for end in range(len(block)):
        with pytest.raises(Truncated):
            walk_block(ByteStream.over(block[:end]))


def test_random_bytes_never_hang_or_crash() -> None:
    rng = random.Random(7)
    for _ in range(3000):
        base = bytearray(rng.choice(list(CASES.values())))
        for _ in range(rng.randrange(1, 5)):
            base[rng.randrange(len(base))] = rng.randrange(256)
        with contextlib.suppress(EngineError, Truncated):
            walk_block(ByteStream.over(bytes(base)))


def test_concatenated_blocks_are_split() -> None:
    first, second = CASES["strings"], CASES["array"]
    assert list(split_blocks(first + second, 5)) == [first, second]
    assert list(split_blocks(first, 3)) == [first]
    unknown = _block(1, ("a", "AggregateFunction(count)", b"\x01"))
    assert list(split_blocks(first + unknown, 4)) == [first, unknown]


def test_types_can_be_renamed_in_place() -> None:
    block = _block(1, ("a", "DateTime", b"\x00" * 4), ("b", "String", text_bytes("DateTime")))
    shape = block_shape(block)
    assert shape is not None
    zoned = shape.rewritten(block, ["DateTime('UTC')", "String"], 0)
    assert zoned == _block(1, ("a", "DateTime('UTC')", b"\x00" * 4), ("b", "String", text_bytes("DateTime")))


def test_only_the_last_column_may_have_a_type_that_cannot_be_walked() -> None:
    unknown, known = ("u", "Nope", b"?"), ("n", "UInt8", b"\x01")
    shape = block_shape(_block(1, known, unknown))
    assert shape is not None
    assert shape.columns == [("n", "UInt8"), ("u", "Nope")]
    assert block_shape(_block(1, unknown, known)) is None


@pytest.mark.parametrize("name", CASES)
def test_a_newer_client_is_told_that_columns_are_plain_and_the_engine_is_not(name: str) -> None:
    block, revision = CASES[name], CUSTOM_SERIALIZATION
    shape = block_shape(block)
    assert shape is not None
    sent = shape.rewritten(block, [kind for _name, kind in shape.columns], revision)
    assert len(sent) == len(block) + len(shape.columns)
    for size in (1, 3, len(sent)):
        left = iter([*(sent[at : at + size] for at in range(0, len(sent), size)), b""])
        stream, copy = ByteStream(lambda _most, left=left: next(left)), bytearray()  # type: ignore[misc]
        stream.start_tee(_Copy(copy))
        assert walk_block(stream, revision).columns == shape.columns
        stream.stop_tee()
        assert bytes(copy) == block


def test_a_sparse_column_is_refused() -> None:
    with pytest.raises(EngineError, match="Column a is sparse"):
        walk_block(ByteStream.over(b"\x01\x01\x01a\x05UInt8\x01\x07"), CUSTOM_SERIALIZATION)


def test_a_header_block_holds_names_and_types() -> None:
    shape = block_shape(header_block([("a", "UInt8"), ("ł", "Array(Nope)")]))
    assert shape is not None
    assert (shape.rows, shape.columns) == (0, [("a", "UInt8"), ("ł", "Array(Nope)")])


@pytest.mark.parametrize(
    "block",
    [
        b"\xff\xff\xff\x7f\x01",
        b"\x01" + varint_bytes(1 << 40),
        _block(1, ("a", "Array(UInt8)", _u64(1 << 60))),
        _block(1, ("a", "LowCardinality(String)", _u64(1, 0x109))),
        _block(1, ("a", "LowCardinality(String)", _u64(1, 0x600, 0, 5))),
        _block(1, ("a", "Variant(String)", _u64(9))),
        _block(1, ("a", "JSON", _u64(9))),
        _block(1, ("a", "JSON", _u64(2) + b"\xff\xff\x7f")),
        _block(1, ("a", "AggregateFunction(count)", b"")),
        _block(1, ("a", "", b"")),
    ],
)
def test_an_impossible_block_is_refused(block: bytes) -> None:
    with pytest.raises(EngineError):
        walk_block(ByteStream.over(block))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("UInt8", 1), ("Int256", 32), ("DateTime64(9, 'Europe/Berlin')", 8), ("DateTime('UTC')", 4), ("Date32", 4),
        ("Decimal(9, 2)", 4), ("Decimal(18, 2)", 8), ("Decimal(38, 2)", 16), ("Decimal(76, 2)", 32),
        ("Decimal32(1)", 4),
        ("Enum8('a' = 1, 'b)' = 2)", 1), ("Enum16('a' = 1)", 2), ("FixedString(17)", 17), ("IPv6", 16), ("Bool", 1),
        ("SimpleAggregateFunction(sum, UInt64)", 8), ("IntervalDay", 8), ("String", 0), ("Unheard", 0),
    ],
)  # fmt: skip
def test_a_type_has_its_width(name: str, width: int) -> None:
    assert parse_type(name).width == width


def test_types_are_read_as_trees() -> None:
    node = parse_type("Map(LowCardinality(String), Tuple(a Array(Nullable(UInt8)), `x, (y` Enum8('a, )' = 1)))")
    number = TypeNode("Array", 0, (TypeNode("Nullable", 0, (TypeNode("UInt8", 1),)),))
    record = TypeNode("Tuple", 0, (number, TypeNode("Enum8", 1)))
    assert node == TypeNode("Map", 0, (TypeNode("LowCardinality", 0, (TypeNode("String", 0),)), record))
    assert parse_type("Polygon") == parse_type("Array(Array(Tuple(Float64, Float64)))")
    typed = parse_type("JSON(max_dynamic_paths=8, SKIP c, b.x Int64, a String)")
    assert [child.name for child in typed.children] == ["String", "Int64"]


@pytest.mark.parametrize(
    "name",
    ["Array(", "Array()", "Map(String)", "Nullable", "FixedString(x)", "FixedString", "Array(" * 100 + ")" * 100],
)
def test_a_broken_type_is_refused(name: str) -> None:
    with pytest.raises(EngineError) as failed:
        parse_type(name)
    assert failed.value.code == 50


class _Copy:
    def __init__(self, into: bytearray) -> None:
        self.write: Callable[[memoryview], None] = into.extend
