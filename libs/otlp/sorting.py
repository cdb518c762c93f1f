"""Attributes sorted by key, by compiled functions. A reference is a position and, in its lower 32 bits, a size."""

from __future__ import annotations

from libs.otlp.compiled import Bytes, Ints, compiled
from libs.otlp.raw import load8, load64, load64_big_endian


@compiled
def less(data: Bytes, a: int, b: int) -> bool:
    """Tell whether the text at reference `a` sorts before the one at `b`."""
    size_a = a & 0xFFFFFFFF
    size_b = b & 0xFFFFFFFF
    both = min(size_a, size_b)
    a >>= 32
    b >>= 32
    for i in range(0, both, 8):
        word_a = load64_big_endian(data, a + i)
        word_b = load64_big_endian(data, b + i)
        if word_a != word_b:
            for k in range(i, min(i + 8, both)):
                if load8(data, a + k) != load8(data, b + k):
                    return word_a < word_b
            break
    return size_a < size_b


@compiled
def same(data: Bytes, a: int, b: int) -> bool:
    """Tell whether the texts at two references are equal."""
    size = a & 0xFFFFFFFF
    if size != b & 0xFFFFFFFF:
        return False
    a >>= 32
    b >>= 32
    for i in range(0, size - 7, 8):
        if load64(data, a + i) != load64(data, b + i):
            return False
    rest = size & 7
    return rest == 0 or (load64(data, a + size - rest) ^ load64(data, b + size - rest)) << (64 - 8 * rest) == 0


@compiled
def sort_attributes(data: Bytes, rows: Ints, begin: int, count: int) -> int:
    """Sort `count` pairs of references by key, keep the last of equal keys; return how many are left."""
    for i in range(begin + 2, begin + 2 * count, 2):
        key = rows[i]
        value = rows[i + 1]
        k = i
        while k > begin and less(data, key, rows[k - 2]):
            rows[k] = rows[k - 2]
            rows[k + 1] = rows[k - 1]
            k -= 2
        rows[k] = key
        rows[k + 1] = value
    end = begin
    for i in range(begin, begin + 2 * count, 2):
        if end > begin and same(data, rows[i], rows[end - 2]):
            end -= 2
        rows[end] = rows[i]
        rows[end + 1] = rows[i + 1]
        end += 2
    return (end - begin) // 2
