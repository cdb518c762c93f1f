"""Numbers as text, in the form of `values.number`, written by compiled functions."""

from __future__ import annotations

from typing import Final

import numpy as np

from libs.otlp.compiled import Bytes, compiled
from libs.otlp.raw import bits, store8

LONGEST: Final = 40  # bytes that must be free behind the position
EXACT: Final = float(1 << 50)  # below it a decimal of at most 15 digits and its float stand for each other
SMALLEST: Final = 1e-6  # below it an exponent is written
POWERS: Final = np.array([10.0**k for k in range(17)])


@compiled
def put_digits(data: Bytes, at: int, value: int, width: int) -> int:
    """Write a number that is not negative in at least `width` digits; return the position behind it."""
    size = 1
    bound = 10
    while size < width or (size < 19 and value >= bound):
        size += 1
        bound *= 10
    for i in range(at + size - 1, at - 1, -1):
        store8(data, i, 48 + value % 10)
        value //= 10
    return at + size


@compiled
def put_integer(data: Bytes, at: int, value: int) -> int:
    """Write a number of 64 bits; return the position behind it."""
    if value >= 0:
        return put_digits(data, at, value, 1)
    store8(data, at, 45)
    last = -(value % -10)
    value = -((value + last) // 10)
    if value:
        return put_digits(data, put_digits(data, at + 1, value, 1), last, 1)
    return put_digits(data, at + 1, last, 1)


@compiled
def put_double(data: Bytes, at: int, value: float) -> int:
    """Write a float of at most 15 digits in its shortest form; return the position behind it, -1 for all others."""
    if value == 0.0:
        return put_digits(data, at, 0, 1) if bits(value) == 0 else -1
    size = abs(value)
    if not SMALLEST <= size < EXACT:
        return -1
    for k in range(17):
        scaled = np.rint(size * POWERS[k])
        if scaled >= EXACT:
            return -1
        if scaled / POWERS[k] == size:
            if value < 0.0:
                store8(data, at, 45)
                at += 1
            whole = int(scaled) // 10**k
            at = put_digits(data, at, whole, 1)
            if k > 0:
                store8(data, at, 46)
                at = put_digits(data, at + 1, int(scaled) - whole * 10**k, k)
            return at
    return -1
