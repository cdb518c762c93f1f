"""Damage to protobuf messages: blind, on bytes, and knowing, on fields, where every length still fits."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

VARINT, FIXED64, LENGTH, START, END, FIXED32 = range(6)
SPICE: Final = (
    b"\x00", b"\xff", b"\x80\x00", b"\xff" * 9 + b"\x01", b"\xff" * 10, b"\x80" * 9 + b"\x02", b"\x0b", b"\x0c",
    b"\x0b\x0c", b"\x0a\x00", b"\x0a\x80\x00", b"\x0a\xff\xff\xff\xff\x0f", b"\xc0\x80", b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80", b"\x08\x01", b"\x07", b"\xfa\xff\xff\xff\x0f\x00", b"\xfd\x01\0\0\0\0",
)  # fmt: skip


@dataclass(slots=True)
class Field:
    """One field on the wire: a number, raw bytes, or a message taken apart. `extra` bytes pad its varints."""

    number: int
    wire: int
    content: int | bytes | list[Field]
    extra: int = 0


def mutate(body: bytes, kind: Any, source: random.Random) -> bytes:
    """Return a message of type `kind` with one to four things done to it."""
    for _ in range(source.choice((1, 1, 2, 4))):
        body = source.choice(_BLIND)(body, source) if source.random() < 0.5 else _reworked(body, kind, source)
    return body


def _reworked(body: bytes, kind: Any, source: random.Random) -> bytes:
    try:
        fields = take_apart(body, kind.DESCRIPTOR)
    except (ValueError, IndexError):
        return source.choice(_BLIND)(body, source)
    source.choice(_KNOWING)(source.choice(_lists(fields)), source)
    return put_together(fields)


def varint(value: int, extra: int = 0) -> bytes:
    """Return an unsigned number as a varint with so many needless bytes."""
    out = bytearray()
    while value > 0x7F or extra > 0:
        if value <= 0x7F:
            extra -= 1
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def take_apart(body: bytes, descriptor: Any) -> list[Field]:
    """Return the fields of a message, messages inside taken apart; raises ValueError or IndexError if it is broken."""
    fields: list[Field] = []
    at = 0
    while at < len(body):
        tag, at = _number(body, at)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, at = _number(body, at)
            fields.append(Field(number, wire, value))
            continue
        if wire not in (FIXED64, LENGTH, FIXED32):
            raise ValueError(f"wire type {wire}")
        size = 8 if wire == FIXED64 else 4
        if wire == LENGTH:
            size, at = _number(body, at)
        raw = body[at : at + size]
        if len(raw) < size:
            raise ValueError("too short")
        at += size
        known = descriptor.fields_by_number.get(number) if wire == LENGTH else None
        inside = known.message_type if known is not None else None
        fields.append(Field(number, wire, raw if inside is None else take_apart(raw, inside)))
    return fields


def put_together(fields: list[Field]) -> bytes:
    """Return fields as bytes."""
    return b"".join([_encoded(field) for field in fields])


def _encoded(field: Field) -> bytes:
    tag = varint(field.number << 3 | field.wire, field.extra // 2 if field.extra > 2 else 0)
    if isinstance(field.content, int):
        return tag + varint(field.content, field.extra)
    raw = field.content if isinstance(field.content, bytes) else put_together(field.content)
    if field.wire == LENGTH:
        return tag + varint(len(raw), field.extra) + raw
    return tag + raw + (varint(field.number << 3 | END) if field.wire == START else b"")


def _number(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number too long")


def _lists(fields: list[Field]) -> list[list[Field]]:
    """Return the field lists of a message and of all messages inside, that have any."""
    found = [fields]
    for one in found:
        found += [field.content for field in one if isinstance(field.content, list) and field.content]
    return found


def _repeat(fields: list[Field], source: random.Random) -> None:
    if fields:
        fields.insert(source.randrange(len(fields) + 1), source.choice(fields))


def _drop(fields: list[Field], source: random.Random) -> None:
    if fields:
        fields.pop(source.randrange(len(fields)))


def _shuffle(fields: list[Field], source: random.Random) -> None:
    source.shuffle(fields)


def _pad(fields: list[Field], source: random.Random) -> None:
    if fields:
        source.choice(fields).extra = source.choice((1, 2, 3, 4, 8))


def _renumber(fields: list[Field], source: random.Random) -> None:
    if fields:
        source.choice(fields).number = source.choice((1, 2, 3, 4, 5, 7, 9, 15, 16, 31, 32, 100, 2**20, 0))


def _retype(fields: list[Field], source: random.Random) -> None:
    if fields:
        field = source.choice(fields)
        field.wire = source.choice((VARINT, FIXED64, LENGTH, START, FIXED32))
        contents: dict[int, int | bytes] = {
            VARINT: source.randrange(2**64),
            FIXED64: source.randbytes(8),
            FIXED32: source.randbytes(4),
        }
        field.content = contents.get(field.wire, source.randbytes(source.randrange(9)))


def _unknown(fields: list[Field], source: random.Random) -> None:
    wire = source.choice((VARINT, FIXED64, LENGTH, START, FIXED32))
    content: int | bytes = (
        source.randrange(2**64) if wire == VARINT else source.randbytes({FIXED64: 8, FIXED32: 4}.get(wire, 3))
    )
    if wire == START:
        content = b"\x08\x01"
    fields.insert(source.randrange(len(fields) + 1), Field(source.choice((13, 21, 31, 500, 2**28)), wire, content))


def _revalue(fields: list[Field], source: random.Random) -> None:
    numbers = [field for field in fields if isinstance(field.content, int)]
    if numbers:
        source.choice(numbers).content = source.choice((0, 1, 2**31, 2**32, 2**63, 2**64 - 1, source.randrange(2**64)))


def _retext(fields: list[Field], source: random.Random) -> None:
    texts = [field for field in fields if isinstance(field.content, bytes) and field.wire == LENGTH]
    if texts:
        field = source.choice(texts)
        spice = source.choice((*SPICE, source.randbytes(8), "é🙂".encode(), b"y" * 1025, b"y" * 4097, b"z" * 70_000))
        field.content = bytes(field.content)[: source.randrange(4)] + spice  # type: ignore[arg-type]


def _break_texts(fields: list[Field], source: random.Random) -> None:
    """Make every text of a message one that is not UTF-8, as a truncation in the middle of a letter does."""
    for field in fields:
        if isinstance(field.content, bytes) and field.wire == LENGTH:
            field.content += source.choice((b"\xc3", b"\xe2\x82", b"\xf0\x9f\x99", b"\xed\xa0\xbd", b"\xff\xfe"))


def _nest(fields: list[Field], source: random.Random) -> None:
    """Wrap a value that looks like an AnyValue into lists."""
    inner = [field for field in fields if isinstance(field.content, list) and field.number in (2, 5)]
    if inner:
        field = source.choice(inner)
        for _ in range(source.choice((1, 5, 11, 12, 13, 31, 32, 33, 45, 60))):
            field.content = [Field(5, LENGTH, [Field(1, LENGTH, field.content)])]


def _flip(body: bytes, source: random.Random) -> bytes:
    changed = bytearray(body or b"\0")
    for _ in range(source.choice((1, 1, 3, 8))):
        changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
    return bytes(changed)


def _insert(body: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(body) + 1)
    return body[:at] + source.choice((*SPICE, source.randbytes(3))) + body[at:]


def _overwrite(body: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(body) + 1)
    spice = source.choice(SPICE)
    return body[:at] + spice + body[at + len(spice) :]


def _cut(body: bytes, source: random.Random) -> bytes:
    at = source.randrange(len(body) + 1)
    return body[:at] if source.random() < 0.5 else body[:at] + body[at + source.randrange(1, 9) :]


def _copy(body: bytes, source: random.Random) -> bytes:
    a, b, c = sorted(source.randrange(len(body) + 1) for _ in range(3))
    return body[:c] + body[a:b] + body[c:]


_BLIND: Final[tuple[Callable[[bytes, random.Random], bytes], ...]] = (_flip, _insert, _overwrite, _cut, _copy)
_KNOWING: Final[tuple[Callable[[list[Field], random.Random], None], ...]] = (
    _repeat, _drop, _shuffle, _pad, _renumber, _retype, _unknown, _revalue, _retext, _break_texts, _nest,
)  # fmt: skip
