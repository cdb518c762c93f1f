from __future__ import annotations

from typing import Any

import pytest

from libs.kernel.errors import InvalidInput
from libs.otlp.batch import MAX_NANOSECONDS, MAX_NESTING
from libs.otlp.values import Cuts, bounded, identifier, nanoseconds, number, text
from tests.unit.libs.otlp.requests import nested, value


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (None, ""),
        ("plain text", "plain text"),
        (True, "true"),
        (-7, "-7"),
        (2.5, "2.5"),
        (b"\x00\xff", "AP8="),
        ([], "[]"),
        (["a", 1, None, b"\x01", False], '["a",1,null,"AQ==",false]'),
        ({"z": [1.0, {"k": "ü\n"}], "a": ""}, '{"a":"","z":[1,{"k":"ü\\n"}]}'),
        ([float("nan"), float("inf")], "[null,null]"),
    ],
)
def test_any_value_becomes_the_text_the_collector_writes(plain: Any, expected: str) -> None:
    assert text(value(plain), Cuts()) == expected


@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (0.0, "0"), (5.0, "5"), (0.1, "0.1"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"),
        (1e-7, "1e-7"), (-1.25, "-1.25"), (1.5e300, "1.5e+300"), (float("-inf"), "-Inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_floats_are_written_in_their_shortest_form(plain: float, expected: str) -> None:
    assert number(plain) == expected


def test_nesting_is_bounded_and_what_is_cut_is_counted() -> None:
    cuts = Cuts()
    assert text(nested(MAX_NESTING - 1), cuts) == "[" * (MAX_NESTING - 1) + '"x"' + "]" * (MAX_NESTING - 1)
    assert cuts.count == 0
    assert text(nested(MAX_NESTING + 5), cuts) == "[" * MAX_NESTING + "null" + "]" * MAX_NESTING
    assert cuts.count == 1


@pytest.mark.parametrize(("limit", "expected"), [(4, "ab"), (6, "ab🙂"), (8, "ab🙂é")])
def test_a_text_is_cut_between_characters(limit: int, expected: str) -> None:
    cuts = Cuts()
    assert bounded("ab🙂é", cuts, limit) == expected
    assert cuts.count == (0 if limit == 8 else 1)


def test_ids_are_lower_case_hex_and_zeros_mean_none() -> None:
    assert identifier(b"\xab\x00", 2) == "ab00"
    assert identifier(b"", 16) == identifier(bytes(16), 16) == ""
    assert {identifier(b"\xab" * size, 16) for size in (1, 8, 15, 17, 500_000)} == {""}


def test_a_time_no_column_can_hold_is_refused() -> None:
    assert nanoseconds(MAX_NANOSECONDS) == MAX_NANOSECONDS
    with pytest.raises(InvalidInput, match="2262"):
        nanoseconds(MAX_NANOSECONDS + 1)
