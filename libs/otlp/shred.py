"""The compiled walk over wire bytes: from messages to tables of numbers and references.

A reference is where a text lies in the array of bytes, its length in the lower 32 bits. 0 is a field that was not
there. A value that must be written by Python is PENDING: it refers to a list of references to AnyValue messages.
"""

from __future__ import annotations

from typing import Final

from libs.otlp.batch import MAX_ATTRIBUTES, MAX_KEY_BYTES, MAX_TEXT_BYTES
from libs.otlp.compiled import Bytes, Ints, compiled
from libs.otlp.numerals import LONGEST, put_double, put_integer
from libs.otlp.raw import bits, double, first, load8, load64, store64
from libs.otlp.sorting import sort_attributes
from libs.otlp.wire import (
    ATTRIBUTE,
    CHECK,
    CHECK_TEXT,
    DOUBLE,
    FIXED32_NUMBER,
    FIXED64,
    FULL,
    ID,
    INSIDE,
    LENGTH,
    LENGTHS,
    NO_VALUE,
    ODD,
    ROWS,
    SKIP_BYTES,
    SLACK,
    TEXT,
    TIME,
    UNUSUAL,
    VALUE,
    VALUE_DOUBLE,
    VALUE_INTEGER,
    VARINT,
    VARINT_NUMBER,
    WORDS,
    check,
    is_utf8,
    read_length,
    read_tag,
    read_varint,
    skip,
)  # fmt: skip

# Words of a table's head
BASE, WIDTH, CAPACITY, COUNT, KEPT = range(5)
HEAD: Final = 5
# Words of the state: where the next formatted number goes, how many values are pending, the table that was full, and
# how much room there is for the first two
SIDE, PENDING_COUNT, WANTED, SIDE_END, PENDING_END = range(5)
SIDE_WANTED, PENDING_WANTED = -1, -2

# Texts every array of bytes begins with, behind one unused byte
FIXED_TEXTS: Final = b"\0truefalse"
TRUE: Final = 1 << 32 | 4
FALSE: Final = 5 << 32 | 5
EMPTY: Final = 1 << 32
PENDING: Final = 1 << 62

MAX_VALUE: Final = MAX_TEXT_BYTES // 6  # of an AnyValue whose text is surely not cut
FRAMES: Final = 64  # where in the stack the walk's own frames begin, behind those of `check`


@compiled
def add_row(rows: Ints, tables: Ints, state: Ints, table: int) -> int:
    """Return where a new row of zeros begins, or FULL."""
    count = tables[HEAD * table + COUNT]
    if count == tables[HEAD * table + CAPACITY]:
        state[WANTED] = table
        return FULL
    tables[HEAD * table + COUNT] = count + 1
    width = tables[HEAD * table + WIDTH]
    at = tables[HEAD * table + BASE] + count * width
    for i in range(at, at + width):
        rows[i] = 0
    return at


@compiled
def add_pending(pending: Ints, state: Ints, at: int, end: int) -> int:
    """Return the reference of a value that Python will write, or FULL."""
    count = state[PENDING_COUNT]
    if count == state[PENDING_END]:
        state[WANTED] = PENDING_WANTED
        return FULL
    pending[count] = at << 32 | (end - at)
    state[PENDING_COUNT] = count + 1
    return PENDING | count


@compiled
def read_value(data: Bytes, at: int, end: int, kind: int, fields: Ints, state: Ints, stack: Ints, pending: Ints) -> int:
    """Return the reference of an AnyValue as text, PENDING included, or a negative code."""
    if at == end:
        return EMPTY
    tag = load8(data, at)
    if tag == 1 << 3 | LENGTH:
        size, begin = read_length(data, at + 1, end)
        if begin < 0 or begin + size != end or size > MAX_TEXT_BYTES or not is_utf8(data, begin, end):
            return UNUSUAL
        return begin << 32 | size
    side = state[SIDE]
    if side + LONGEST + SLACK > state[SIDE_END]:
        state[WANTED] = SIDE_WANTED
        return FULL
    if tag == 3 << 3 | VARINT:
        number, behind = read_varint(data, at + 1, end)
        if behind != end:
            return UNUSUAL
        written = put_integer(data, side, number)
    elif tag == 2 << 3 | VARINT:
        number, behind = read_varint(data, at + 1, end)
        return UNUSUAL if behind != end else TRUE if number else FALSE
    elif tag == 4 << 3 | FIXED64:
        if end - at != 9:
            return UNUSUAL
        written = put_double(data, side, double(load64(data, at + 1)))
        if written < 0:
            return add_pending(pending, state, at, end)
    else:
        size, begin = read_length(data, at + 1, end)  # an array, a map or bytes, and nothing else
        if (
            tag & 7 != LENGTH
            or begin + size != end
            or size > MAX_VALUE
            or check(data, at, end, kind, fields, stack) < 0
        ):
            return UNUSUAL
        return add_pending(pending, state, at, end)
    state[SIDE] = written
    return side << 32 | (written - side)


@compiled
def read_attribute(
    data: Bytes, at: int, end: int, entry: int, fields: Ints, rows: Ints, tables: Ints, state: Ints, stack: Ints,
    pending: Ints,
) -> int:  # fmt: skip
    """Add a KeyValue to its table; return `end` or a negative code."""
    key = EMPTY
    value = 0
    kind = (fields[(entry >> 16 & 0xFF) << 8 | 2 << 3 | LENGTH] >> 16) & 0xFF  # the type of AnyValue
    while at < end:
        tag = load8(data, at)
        size, at = read_length(data, at + 1, end)
        if at < 0:
            return UNUSUAL
        if tag == 1 << 3 | LENGTH:
            if size > MAX_KEY_BYTES or not is_utf8(data, at, at + size):
                return UNUSUAL
            key = at << 32 | size
        elif tag == 2 << 3 | LENGTH and value == 0:
            value = read_value(data, at, at + size, kind, fields, state, stack, pending)
            if value < 0:
                return value
        else:
            return UNUSUAL
        at += size
    row = add_row(rows, tables, state, entry >> 24)
    if row < 0:
        return FULL
    rows[row] = key
    rows[row + 1] = value if value else EMPTY
    return end


@compiled
def read_number(data: Bytes, at: int, end: int, tag: int, kind: int, rows: Ints, slot: int) -> int:
    """Put a number into its slot, or skip what is not kept; return the position behind it or UNUSUAL."""
    if kind == TIME or kind == DOUBLE or kind == VALUE_DOUBLE or kind == VALUE_INTEGER:
        if end - at < 8:
            return UNUSUAL
        number = load64(data, at)
        if kind == TIME and number < 0:  # past the year 2262
            return UNUSUAL
        if kind == VALUE_INTEGER:
            number = bits(float(number))
        rows[slot] = number if kind == TIME or kind == DOUBLE else number ^ NO_VALUE
        return at + 8
    if kind == VARINT_NUMBER:
        number, at = read_varint(data, at, end)
        rows[slot] = number
        return at
    if kind == FIXED32_NUMBER:
        if end - at < 4:
            return UNUSUAL
        rows[slot] = load64(data, at) & 0xFFFFFFFF
        return at + 4
    return UNUSUAL if kind == ODD else skip(data, at, end, tag & 7)


@compiled
def read_numbers(data: Bytes, at: int, end: int, kind: int, state: Ints) -> int:
    """Return the reference of a packed field as words of 64 bits, or a negative code."""
    if kind == WORDS:
        return UNUSUAL if (end - at) & 7 else at << 32 | (end - at)
    side = state[SIDE]
    begin = side
    if side + 8 * (end - at) + SLACK > state[SIDE_END]:
        state[WANTED] = SIDE_WANTED
        return FULL
    while at < end:
        number, at = read_varint(data, at, end)
        if at < 0:
            return UNUSUAL
        store64(data, side, number)
        side += 8
    state[SIDE] = side
    return begin << 32 | (side - begin)


@compiled
def read_id(data: Bytes, at: int, size: int, proper: int) -> int:
    """Return the reference of a trace or span id, EMPTY if it has not its proper size or is all zeros."""
    if size != proper:
        return EMPTY
    for i in range(at, at + size):
        if load8(data, i):
            return at << 32 | size
    return EMPTY


@compiled
def read_field(
    data: Bytes, at: int, end: int, entry: int, fields: Ints, rows: Ints, slot: int, state: Ints, stack: Ints,
    pending: Ints,
) -> int:  # fmt: skip
    """Put a field with a length into its slot, or check it; return `end` or a negative code."""
    kind = entry & 0xFF
    value = 0
    if kind == TEXT:
        fits = end - at <= (entry >> 16 & 0xFF) << 10
        value = at << 32 | (end - at) if fits and is_utf8(data, at, end) else UNUSUAL
    elif kind == ID:
        value = read_id(data, at, end - at, entry >> 16 & 0xFF)
    elif kind == SKIP_BYTES:
        return end
    elif kind == CHECK_TEXT:
        return end if is_utf8(data, at, end) else UNUSUAL
    elif kind == CHECK:
        return check(data, at, end, entry >> 16 & 0xFF, fields, stack)
    elif rows[slot] != 0:  # given twice, to be merged
        return UNUSUAL
    elif kind == VALUE:
        value = read_value(data, at, end, entry >> 16 & 0xFF, fields, state, stack, pending)
    else:
        value = read_numbers(data, at, end, kind, state)
    if value < 0:
        return value
    rows[slot] = value
    return end


@compiled
def close(data: Bytes, rows: Ints, tables: Ints, closing: int, row: int) -> int:
    """Sort the attributes of the row that ends; return 0 or UNUSUAL."""
    slot = row + (closing & 0xFF)
    count = rows[slot]
    if count > 1:
        if count > MAX_ATTRIBUTES:
            return UNUSUAL
        table = closing >> 8
        begin = tables[HEAD * table + BASE] + 2 * (tables[HEAD * table + COUNT] - count)
        rows[slot] = sort_attributes(data, rows, begin, count)
        tables[HEAD * table + COUNT] -= count - rows[slot]
    return 0


@compiled
def walk(
    data: Bytes, at: int, end: int, message: int, fields: Ints, closing: Ints, rows: Ints, tables: Ints, state: Ints,
    stack: Ints, pending: Ints,
) -> int:  # fmt: skip
    """Shred one message, number `message` of the batch; return its end or a negative code."""
    kind = 0
    depth = FRAMES
    row = add_row(rows, tables, state, 0)
    if row < 0:
        return FULL
    rows[row] = message
    owner = tables[COUNT] - 1
    while True:
        if at == end:
            if closing[kind] >= 0 and close(data, rows, tables, closing[kind], row) < 0:
                return UNUSUAL
            if depth == FRAMES:
                return at
            depth -= 4
            kind, end, row, owner = stack[depth], stack[depth + 1], stack[depth + 2], stack[depth + 3]
            continue
        tag, at = read_tag(data, at, end)
        if at < 0:
            return UNUSUAL
        entry = fields[kind << 8 | tag] if tag < 256 else 0
        what = entry & 0xFF
        slot = row + (entry >> 8 & 0xFF)
        if what < LENGTHS:
            at = read_number(data, at, end, tag, what, rows, slot)
            if at < 0:
                return at
            continue
        size, at = read_length(data, at, end)
        if at < 0:
            return UNUSUAL
        if what == ATTRIBUTE:
            rows[slot] += 1
            at = read_attribute(data, at, at + size, entry, fields, rows, tables, state, stack, pending)
        elif what == ROWS or what == INSIDE:
            stack[depth], stack[depth + 1], stack[depth + 2], stack[depth + 3] = kind, end, row, owner
            depth += 4
            if what == ROWS:
                rows[slot] += 1
                row = add_row(rows, tables, state, entry >> 24)
                if row < 0:
                    return FULL
                rows[row] = owner
                owner = tables[HEAD * (entry >> 24) + COUNT] - 1
            else:
                if rows[slot] != 0:
                    return UNUSUAL
                rows[slot] = entry >> 24
            kind, end = entry >> 16 & 0xFF, at + size
        else:
            at = read_field(data, at, at + size, entry, fields, rows, slot, state, stack, pending)
        if at < 0:
            return at


@compiled
def shred(
    data: Bytes, starts: Ints, ends: Ints, status: Ints, fields: Ints, closing: Ints, rows: Ints, tables: Ints,
    state: Ints, stack: Ints, pending: Ints,
) -> int:  # fmt: skip
    """Shred messages into tables; a message that can not be leaves nothing but its negative code in `status`.

    Return how many messages were walked: all, or fewer because there was no room for what `state[WANTED]` names.
    """
    source, heads, cells, marks = first(data), first(tables), first(rows), first(state)
    types, ends_of, frames, waiting = first(fields), first(closing), first(stack), first(pending)
    state[SIDE_END] = len(data)
    state[PENDING_END] = len(pending)
    for message in range(len(starts)):
        for table in range(len(tables) // HEAD):
            heads[HEAD * table + KEPT] = heads[HEAD * table + COUNT]
        side = marks[SIDE]
        count = marks[PENDING_COUNT]
        status[message] = walk(
            source, starts[message], ends[message], message, types, ends_of, cells, heads, marks, frames, waiting
        )
        if status[message] < 0:
            for table in range(len(tables) // HEAD):
                heads[HEAD * table + COUNT] = heads[HEAD * table + KEPT]
            marks[SIDE] = side
            marks[PENDING_COUNT] = count
            if status[message] == FULL:
                return message
    return len(starts)
