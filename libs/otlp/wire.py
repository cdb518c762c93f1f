"""Readers of the protobuf wire format.

A reader gets the bytes, where it is and where it must stop; it returns where it came to, or a negative code. Only
what every encoder writes is read here. The rest (malformed bytes, groups, lengths written in too many bytes, deep
nesting) is UNUSUAL: the message goes to the reference decoder, which alone decides what is accepted.
https://protobuf.dev/programming-guides/encoding/

Arrays of bytes have SLACK readable bytes behind whatever a position may point to.
"""

from __future__ import annotations

from typing import Final

from libs.otlp.compiled import Bytes, Ints, compiled
from libs.otlp.raw import load8, load64

UNUSUAL: Final = -1
FULL: Final = -2

SLACK: Final = 32
MAX_FRAMES: Final = 24  # messages within messages that `check` follows; far below protobuf's own 100

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

# What a field's entry in a layout says: its kind in the low byte, see layout.py. Numbers come before LENGTHS.
UNKNOWN, ODD, SKIP, TIME, DOUBLE, VALUE_DOUBLE, VALUE_INTEGER, FIXED32_NUMBER, VARINT_NUMBER = range(9)
LENGTHS: Final = 16
TEXT, ID, WORDS, VARINTS, ROWS, INSIDE, ATTRIBUTE, VALUE, CHECK, CHECK_TEXT, SKIP_BYTES = range(16, 27)

# The bits of a float that is not a number. A value is kept as its bits XOR these, so that a slot of zeros, which
# nothing was put into, stands for no value.
NO_VALUE: Final = 0x7FF8 << 48


@compiled
def read_varint(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number of at most 10 bytes as 64 bits, and the position behind it."""
    value = 0
    shift = 0
    while shift < 70:
        if at >= end:
            return 0, UNUSUAL
        byte = load8(data, at)
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value, at) if shift < 63 or byte < 2 else (0, UNUSUAL)
        shift += 7
    return 0, UNUSUAL


@compiled
def read_length(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return the length of what follows and the position behind the length; so many bytes are there."""
    if at >= end:
        return 0, UNUSUAL
    size = load8(data, at)
    at += 1
    shift = 7
    while size >> shift:  # the last byte read had its high bit set
        if at >= end or shift > 21:
            return 0, UNUSUAL
        size = (size & ((1 << shift) - 1)) | load8(data, at) << shift
        at += 1
        shift += 7
    if size > end - at:
        return 0, UNUSUAL
    return size, at


@compiled
def skip(data: Bytes, at: int, end: int, wire: int) -> int:
    """Return the position behind the value of a field nobody reads."""
    if wire == VARINT:
        return read_varint(data, at, end)[1]
    if wire == FIXED64:
        return at + 8 if end - at >= 8 else UNUSUAL
    if wire == FIXED32:
        return at + 4 if end - at >= 4 else UNUSUAL
    if wire != LENGTH:
        return UNUSUAL
    size, at = read_length(data, at, end)
    return at + size if at >= 0 else UNUSUAL


@compiled
def read_tag(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Return a field's tag of one or two bytes and the position behind it; field number 0 is UNUSUAL."""
    tag = load8(data, at)
    at += 1
    if tag >= 0x80:
        if at >= end or load8(data, at) >= 0x80:
            return 0, UNUSUAL
        tag = (tag & 0x7F) | load8(data, at) << 7
        at += 1
    return (tag, at) if tag >= 8 else (0, UNUSUAL)


@compiled
def is_utf8(data: Bytes, at: int, end: int) -> bool:
    """Tell whether bytes are UTF-8 as Unicode defines it; plain ASCII is found eight bytes at a time."""
    while end - at >= 8:
        if load64(data, at) & -0x7F7F7F7F7F7F7F80:
            return _is_wide_utf8(data, at, end)
        at += 8
    if at < end and (load64(data, at) << (64 - 8 * (end - at))) & -0x7F7F7F7F7F7F7F80:
        return _is_wide_utf8(data, at, end)
    return True


@compiled
def _is_wide_utf8(data: Bytes, at: int, end: int) -> bool:
    while at < end:
        byte = load8(data, at)
        at += 1
        if byte < 0x80:
            continue
        if byte < 0xC2 or byte > 0xF4:
            return False
        more = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
        if end - at < more:
            return False
        second = load8(data, at)
        low = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80  # no overlong forms
        high = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF  # no surrogates, nothing past U+10FFFF
        if second < low or second > high:
            return False
        for i in range(1, more):
            if load8(data, at + i) & 0xC0 != 0x80:
                return False
        at += more
    return True


@compiled
def check(data: Bytes, at: int, end: int, kind: int, fields: Ints, stack: Ints) -> int:
    """Return `end` if the bytes are a message of type `kind` that protobuf would accept, else UNUSUAL."""
    depth = 0
    while True:
        if at == end:
            if depth == 0:
                return at
            depth -= 2
            kind, end = stack[depth], stack[depth + 1]
            continue
        tag, at = read_tag(data, at, end)
        if at < 0:
            return UNUSUAL
        entry = fields[kind << 8 | tag] if tag < 256 else UNKNOWN
        what = entry & 0xFF
        if what == ODD:
            return UNUSUAL
        if what < LENGTHS or what == SKIP_BYTES:
            at = skip(data, at, end, tag & 7)
            if at < 0:
                return UNUSUAL
            continue
        size, at = read_length(data, at, end)
        if at < 0:
            return UNUSUAL
        if what == CHECK_TEXT:
            if not is_utf8(data, at, at + size):
                return UNUSUAL
            at += size
        elif what == CHECK and depth < 2 * MAX_FRAMES:
            stack[depth], stack[depth + 1] = kind, end
            depth += 2
            kind, end = (entry >> 16) & 0xFF, at + size
        else:
            return UNUSUAL
