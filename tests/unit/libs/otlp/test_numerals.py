from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from libs.otlp.numerals import put_double, put_integer
from libs.otlp.values import number
from scripts.otlp.oddities import DOUBLES, INTEGERS


@pytest.mark.parametrize(
    "value", [*INTEGERS, *(sign * 10**k + d for k in range(19) for d in (-1, 0) for sign in (1, -1))]
)
def test_integers_are_written_as_python_writes_them(value: int) -> None:
    space = np.zeros(64, dtype=np.uint8)
    assert space[: put_integer(space, 0, value)].tobytes() == str(value).encode()


def test_floats_are_written_in_the_shortest_form_or_left_to_python() -> None:
    source = random.Random(1)
    few_digits = [round(source.uniform(-(10**6), 10**6), source.randrange(9)) for _ in range(3000)]
    any_bits = [struct.unpack("<d", source.randbytes(8))[0] for _ in range(1000)]
    near_bounds = [source.random() * 10.0**k for k in range(-8, 18) for _ in range(50)]
    space = np.zeros(64, dtype=np.uint8)
    written = 0
    for value in (*DOUBLES, *few_digits, *any_bits, *near_bounds):
        end = put_double(space, 0, value)
        if end >= 0:
            written += 1
            assert space[:end].tobytes().decode() == number(value)
    assert written > 2900
