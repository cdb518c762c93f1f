"""A fast hash of encoded rows: the 64-bit xxHash, which tells accidents apart and is not meant against forgery.

https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from __future__ import annotations

from typing import Final

import numpy as np

from libs.otlp.compiled import Bytes, compiled
from libs.otlp.raw import first, load8, load64

# The five primes of the specification, as numbers of 64 bits with a sign
P1: Final = 0x9E3779B185EBCA87 - (1 << 64)
P2: Final = 0xC2B2AE3D27D4EB4F - (1 << 64)
P3: Final = 0x165667B19E3779F9
P4: Final = 0x85EBCA77C2B2AE63 - (1 << 64)
P5: Final = 0x27D4EB2F165667C5


def fingerprint(body: bytes) -> str:
    """Return the hash of bytes, 16 hex digits."""
    return f"{_xxh64(np.frombuffer(body, dtype=np.uint8)) & 0xFFFFFFFFFFFFFFFF:016x}"


@compiled
def _rotated(word: int, by: int) -> int:
    return word << by | (word >> (64 - by) & ((1 << by) - 1))


@compiled
def _round(lane: int, word: int) -> int:
    return _rotated(lane + word * P2, 31) * P1


@compiled
def _folded(whole: int, lane: int) -> int:
    return (whole ^ _round(0, lane)) * P1 + P4


@compiled
def _mixed(whole: int, by: int) -> int:
    return whole ^ (whole >> by & ((1 << (64 - by)) - 1))


@compiled
def _xxh64(data: Bytes) -> int:
    source, size = first(data), len(data)
    at = 0
    whole = P5
    if size >= 32:
        a, b, c, d = P1 + P2, P2, 0, -P1
        while at + 32 <= size:
            a = _round(a, load64(source, at))
            b = _round(b, load64(source, at + 8))
            c = _round(c, load64(source, at + 16))
            d = _round(d, load64(source, at + 24))
            at += 32
        whole = _rotated(a, 1) + _rotated(b, 7) + _rotated(c, 12) + _rotated(d, 18)
        whole = _folded(_folded(_folded(_folded(whole, a), b), c), d)
    whole += size
    while at + 8 <= size:
        whole = _rotated(whole ^ _round(0, load64(source, at)), 27) * P1 + P4
        at += 8
    if at + 4 <= size:
        four = (
            load8(source, at) | load8(source, at + 1) << 8 | load8(source, at + 2) << 16 | load8(source, at + 3) << 24
        )
        whole = _rotated(whole ^ four * P1, 23) * P2 + P3
        at += 4
    while at < size:
        whole = _rotated(whole ^ load8(source, at) * P5, 11) * P1
        at += 1
    whole = _mixed(whole, 33) * P2
    whole = _mixed(whole, 29) * P3
    return _mixed(whole, 32)
