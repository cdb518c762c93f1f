"""Compiled writers of ClickHouse columns out of references, see shred.py.

The sizes of all columns are known before the first is written. Text is copied 16 bytes at a time: what is written
too far is overwritten by what follows it, and near the end of the output single bytes are copied.
"""

from __future__ import annotations

import numpy as np

from libs.otlp.compiled import Bytes, Ints, compiled
from libs.otlp.raw import copy16, first, load8, load64, store8, store64
from libs.otlp.shred import EMPTY
from libs.otlp.sorting import same


@compiled
def transpose(rows: Ints, columns: Ints, count: int, width: int) -> None:
    """Turn `count` rows of `width` slots into as many columns, one behind the other."""
    source, target = first(rows), first(columns)
    for begin in range(0, count, 64):
        end = min(begin + 64, count)
        for slot in range(width):
            to = slot * count
            for row in range(begin, end):
                target[to + row] = source[row * width + slot]


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
def string_sizes(refs: Ints) -> Ints:
    """Return how many bytes each text takes behind its length."""
    sizes = np.empty_like(refs)
    for i in range(len(refs)):
        sizes[i] = strings_size(refs[i : i + 1])
    return sizes


@compiled
def copy(out: Bytes, to: int, limit: int, data: Bytes, at: int, size: int) -> int:
    """Copy bytes, nothing behind `limit`; return the position behind them."""
    end = to + size
    if end + 16 <= limit:
        while to < end:
            copy16(out, to, data, at)
            to += 16
            at += 16
    else:
        for i in range(size):
            store8(out, to + i, load8(data, at + i))
    return end


@compiled
def put_string(out: Bytes, to: int, limit: int, data: Bytes, ref: int) -> int:
    """Write a text behind its length; return the position behind it."""
    size = ref & 0xFFFFFFFF
    rest = size
    while rest >= 128:
        store8(out, to, rest & 0x7F | 0x80)
        to += 1
        rest >>= 7
    store8(out, to, rest)
    return copy(out, to + 1, limit, data, ref >> 32, size)


@compiled
def put_strings(out: Bytes, to: int, data: Bytes, refs: Ints) -> int:
    """Write texts, each behind its length; return the position behind them."""
    target, source, limit = first(out), first(data), len(out)
    for i in range(len(refs)):
        to = put_string(target, to, limit, source, refs[i])
    return to


@compiled
def repeat(out: Bytes, to: int, limit: int, size: int, count: int) -> int:
    """Write what the `size` bytes before `to` hold until it is there `count` times; return the position behind it."""
    begin = to - size
    end = begin + size * count
    while to < end:
        to = copy(out, to, limit, out, begin, min(to - begin, end - to))
    return to


@compiled
def put_repeated_strings(out: Bytes, to: int, data: Bytes, refs: Ints, counts: Ints) -> int:
    """Write each text as often as `counts` says, behind its length; return the position behind them."""
    target, source, limit = first(out), first(data), len(out)
    for i in range(len(refs)):
        if counts[i]:
            behind = put_string(target, to, limit, source, refs[i])
            to = repeat(target, behind, limit, behind - to, counts[i])
    return to


@compiled
def put_repeated_blobs(out: Bytes, to: int, data: Bytes, refs: Ints, counts: Ints) -> int:
    """Write bytes as often as `counts` says; return the position behind them."""
    target, source, limit = first(out), first(data), len(out)
    for i in range(len(refs)):
        size = refs[i] & 0xFFFFFFFF
        if counts[i] and size:
            behind = copy(target, to, limit, source, refs[i] >> 32, size)
            to = repeat(target, behind, limit, size, counts[i])
    return to


@compiled
def put_blobs(out: Bytes, to: int, data: Bytes, refs: Ints) -> int:
    """Write bytes one after the other; return the position behind them."""
    target, source, limit = first(out), first(data), len(out)
    for i in range(len(refs)):
        to = copy(target, to, limit, source, refs[i] >> 32, refs[i] & 0xFFFFFFFF)
    return to


@compiled
def hex8(four: int) -> int:
    """Return four bytes, the first one lowest, as eight lower-case hexadecimal digits, the first one lowest."""
    wide = (four | four << 16) & 0x0000FFFF0000FFFF
    wide = (wide | wide << 8) & 0x00FF00FF00FF00FF
    nibbles = (wide >> 4 & 0x000F000F000F000F) | (wide & 0x000F000F000F000F) << 8
    letters = (nibbles + 0x0606060606060606) >> 4 & 0x0101010101010101  # 1 where the digit is a letter
    return nibbles + 0x3030303030303030 + letters * 0x27


@compiled
def put_ids(out: Bytes, to: int, data: Bytes, refs: Ints) -> int:
    """Write ids (at most 32 bytes each) as texts in hex; return the position behind them."""
    target, source, limit = first(out), first(data), len(out)
    for i in range(len(refs)):
        size = refs[i] & 0xFFFFFFFF
        at = refs[i] >> 32
        store8(target, to, 2 * size)
        to += 1
        if to + 2 * size + 8 <= limit:
            for k in range(0, size, 4):
                store64(target, to + 2 * k, hex8(load64(source, at + k) & 0xFFFFFFFF))
        else:
            for k in range(size):
                pair = hex8(load8(source, at + k))
                store8(target, to + 2 * k, pair)
                store8(target, to + 2 * k + 1, pair >> 8)
        to += 2 * size
    return to


@compiled
def put_words(out: Bytes, to: int, words: Ints) -> int:
    """Write numbers of 64 bits; return the position behind them."""
    target = first(out)
    for i in range(len(words)):
        store64(target, to, words[i])
        to += 8
    return to


@compiled
def encode_maps(
    data: Bytes, side: int, keys: Ints, values: Ints, counts: Ints, key_refs: Ints, value_refs: Ints
) -> int:
    """Write the attributes of each owner at `side`; set the references to all its keys and to all its values.

    `counts` says how many of the keys and values each owner has. The caller has made room. Return the position
    behind what was written.
    """
    target, limit = first(data), len(data)
    at = 0
    for i in range(len(counts)):
        last = at + counts[i]
        middle = side
        for k in range(at, last):
            middle = put_string(target, middle, limit, target, keys[k])
        key_refs[i] = side << 32 | (middle - side)
        side = middle
        for k in range(at, last):
            side = put_string(target, side, limit, target, values[k])
        value_refs[i] = middle << 32 | (side - middle)
        at = last
    return side


@compiled
def find_values(data: Bytes, keys: Ints, values: Ints, counts: Ints, key: int, found: Ints) -> None:
    """Set for each owner the reference of the value of one key, EMPTY where it is missing."""
    source = first(data)
    at = 0
    for i in range(len(counts)):
        found[i] = EMPTY
        for k in range(at, at + counts[i]):
            if same(source, keys[k], key):
                found[i] = values[k]
        at += counts[i]
