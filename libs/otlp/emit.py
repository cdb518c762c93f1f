"""Compiled writers of ClickHouse columns out of references, see shred.py.

The sizes of all columns are known before the first is written. Text is copied 16 bytes at a time: what is written
too far is overwritten by what follows it, and near the end of the output single bytes are copied.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from libs.otlp.compiled import Bytes, Ints, compiled
from libs.otlp.raw import copy16, load8, store8, store64
from libs.otlp.shred import EMPTY, same

HEX: Final = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), dtype=np.uint8)


@compiled
def strings_size(refs: Ints) -> int:
    """Return how many bytes `put_strings` writes."""
    total = 0
    for i in range(len(refs)):
        size = refs[i] & 0xFFFFFFFF
        total += size + 1
        while size >= 128:
            total += 1
            size >>= 7
    return total


@compiled
def copy(out: Bytes, to: int, data: Bytes, at: int, size: int) -> int:
    """Copy bytes; return the position behind them."""
    end = to + size
    if end + 16 <= len(out):
        while to < end:
            copy16(out, to, data, at)
            to += 16
            at += 16
    else:
        for i in range(size):
            store8(out, to + i, load8(data, at + i))
    return end


@compiled
def put_strings(out: Bytes, to: int, data: Bytes, refs: Ints) -> int:
    """Write texts, each behind its length; return the position behind them."""
    for i in range(len(refs)):
        size = refs[i] & 0xFFFFFFFF
        rest = size
        while rest >= 128:
            store8(out, to, rest & 0x7F | 0x80)
            to += 1
            rest >>= 7
        store8(out, to, rest)
        to = copy(out, to + 1, data, refs[i] >> 32, size)
    return to


@compiled
def put_blobs(out: Bytes, to: int, data: Bytes, refs: Ints) -> int:
    """Write bytes one after the other; return the position behind them."""
    for i in range(len(refs)):
        to = copy(out, to, data, refs[i] >> 32, refs[i] & 0xFFFFFFFF)
    return to


@compiled
def put_ids(out: Bytes, to: int, data: Bytes, refs: Ints, digits: Bytes) -> int:
    """Write ids (at most 32 bytes each) as texts in hex; return the position behind them."""
    for i in range(len(refs)):
        size = refs[i] & 0xFFFFFFFF
        at = refs[i] >> 32
        store8(out, to, 2 * size)
        to += 1
        for k in range(at, at + size):
            byte = load8(data, k)
            store8(out, to, digits[2 * byte])
            store8(out, to + 1, digits[2 * byte + 1])
            to += 2
    return to


@compiled
def put_words(out: Bytes, to: int, words: Ints) -> int:
    """Write numbers of 64 bits; return the position behind them."""
    for i in range(len(words)):
        store64(out, to, words[i])
        to += 8
    return to


@compiled
def encode_maps(data: Bytes, side: int, keys: Ints, values: Ints, counts: Ints, key_refs: Ints, value_refs: Ints) -> int:
    """Write the attributes of each owner at `side`; set the references to all its keys and to all its values.

    `counts` says how many of the keys and values each owner has. The caller has made room. Return the position
    behind what was written.
    """
    first = 0
    for i in range(len(counts)):
        last = first + counts[i]
        middle = put_strings(data, side, data, keys[first:last])
        key_refs[i] = side << 32 | (middle - side)
        side = put_strings(data, middle, data, values[first:last])
        value_refs[i] = middle << 32 | (side - middle)
        first = last
    return side


@compiled
def find_values(data: Bytes, keys: Ints, values: Ints, counts: Ints, key: int, found: Ints) -> None:
    """Set for each owner the reference of the value of one key, EMPTY where it is missing."""
    at = 0
    for i in range(len(counts)):
        found[i] = EMPTY
        for k in range(at, at + counts[i]):
            if same(data, keys[k], key):
                found[i] = values[k]
        at += counts[i]
