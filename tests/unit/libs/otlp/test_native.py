from __future__ import annotations

from typing import Any

import pytest

from libs.otlp.native import (
    BOOL,
    FLOAT64,
    INT32,
    INT64,
    MAP,
    NANOSECONDS,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    Column,
    ColumnType,
    array_of,
    block,
    encode_map,
    varint,
)
from tests.unit.libs.otlp.native_reader import read_block


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (STRING, ["", "a", "ü" * 100, "x" * 127, "x" * 128, "x" * 20_000, "nul\0inside"]),
        (BOOL, [True, False]),
        (UINT8, [0, 255]),
        (UINT16, [0, 65535]),
        (UINT32, [0, 2**32 - 1]),
        (UINT64, [0, 2**64 - 1]),
        (INT32, [-(2**31), 2**31 - 1]),
        (INT64, [-(2**63), 2**63 - 1]),
        (FLOAT64, [0.0, -1.5, 1e300, float("inf")]),
        (NANOSECONDS, [0, 1_700_000_000_123_456_789]),
        (array_of(UINT64), [[], [1], [2, 3]]),
        (array_of(array_of(STRING)), [[], [[]], [["a"], ["b", "c"]]]),
    ],
    ids=lambda v: v.name if isinstance(v, ColumnType) else "",
)
def test_values_of_every_type_read_back_the_same(kind: ColumnType, values: list[Any]) -> None:
    rows = read_block(block([Column("c", kind)], [(value,) for value in values]))
    assert [row["c"] for row in rows] == values


def test_maps_and_arrays_of_maps_read_back_sorted_by_key() -> None:
    one, none = encode_map([("z", "1"), ("a", "2")]), encode_map([])
    columns = [Column("m", MAP), Column("a", array_of(MAP))]
    rows = read_block(block(columns, [(one, [one, none]), (none, [])]))
    assert rows == [{"m": {"a": "2", "z": "1"}, "a": [{"a": "2", "z": "1"}, {}]}, {"m": {}, "a": []}]
    assert list(rows[0]["m"]) == ["a", "z"]


def test_of_equal_keys_the_last_counts() -> None:
    assert encode_map([("k", "first"), ("k", "last")]) == encode_map([("k", "last")])


def test_a_block_without_rows_is_valid() -> None:
    assert read_block(block([Column("s", STRING), Column("m", MAP), Column("a", array_of(UINT8))], [])) == []


def test_lone_surrogates_do_not_stop_a_block() -> None:
    assert read_block(block([Column("s", STRING)], [("a\ud800b",)])) == [{"s": "a?b"}]


@pytest.mark.parametrize(("kind", "value"), [(UINT8, 256), (UINT8, -1), (UINT64, 2**64), (INT32, 2**31)])
def test_a_number_that_does_not_fit_its_type_is_refused(kind: ColumnType, value: int) -> None:
    with pytest.raises(OverflowError):
        block([Column("n", kind)], [(value,)])


def test_varints_grow_every_seven_bits() -> None:
    assert [varint(n) for n in (0, 127, 128, 300)] == [b"\x00", b"\x7f", b"\x80\x01", b"\xac\x02"]
    with pytest.raises(ValueError, match="unsigned"):
        varint(-1)
