"""What to keep of a signal's messages, as tables for the compiled walk.

A layout names tables and the fields that become their slots. Everything else is read off the protobuf descriptors,
so that fields nobody keeps are still checked as protobuf checks them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from libs.otlp import wire
from libs.otlp.batch import MAX_NAME_BYTES, SPAN_ID_BYTES, TRACE_ID_BYTES
from libs.otlp.compiled import Ints

TAGS: Final = 256  # one entry for every tag of a field number below 32

_WIRES: Final = {
    FieldDescriptor.TYPE_DOUBLE: wire.FIXED64, FieldDescriptor.TYPE_FIXED64: wire.FIXED64,
    FieldDescriptor.TYPE_SFIXED64: wire.FIXED64, FieldDescriptor.TYPE_FIXED32: wire.FIXED32,
    FieldDescriptor.TYPE_STRING: wire.LENGTH, FieldDescriptor.TYPE_BYTES: wire.LENGTH,
    FieldDescriptor.TYPE_MESSAGE: wire.LENGTH, FieldDescriptor.TYPE_INT32: wire.VARINT,
    FieldDescriptor.TYPE_INT64: wire.VARINT, FieldDescriptor.TYPE_UINT32: wire.VARINT,
    FieldDescriptor.TYPE_UINT64: wire.VARINT, FieldDescriptor.TYPE_SINT32: wire.VARINT,
    FieldDescriptor.TYPE_BOOL: wire.VARINT, FieldDescriptor.TYPE_ENUM: wire.VARINT,
}  # fmt: skip

_NUMBERS: Final = {
    FieldDescriptor.TYPE_DOUBLE: wire.DOUBLE, FieldDescriptor.TYPE_SFIXED64: wire.VALUE_INTEGER,
    FieldDescriptor.TYPE_FIXED64: wire.DOUBLE, FieldDescriptor.TYPE_FIXED32: wire.FIXED32_NUMBER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep a field in a slot of its row. Fields that share a slot overwrite each other, as members of a oneof do.

    A string of more than `limit` bytes, in whole KiB, is left to the reference decoder, which cuts it.
    """

    slot: str
    limit: int = MAX_NAME_BYTES


@dataclass(frozen=True, slots=True)
class Attributes:
    """Keep key-values as sorted rows of a table; the owner counts them in the slot of the same name."""

    table: str


@dataclass(frozen=True, slots=True)
class Inside:
    """Keep fields of a sub-message in its owner's row; `slot` tells with its field number that it was there."""

    slot: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Keep each message as a row of a table; slot 0 is the owner's row, the owner counts in the slot `table`."""

    table: str
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Table:
    """A table: its name, its number, and the numbers of its slots by name."""

    name: str
    number: int
    slots: dict[str, int] = field(default_factory=dict)

    def slot(self, name: str) -> int:
        """Return the slot of that name, a new one if need be."""
        return self.slots.setdefault(name, len(self.slots))


class Layout:
    """The tables of a signal.

    `fields[type << 8 | tag]` is an entry: kind, slot, type and number of the table inside, field number, a byte each.
    `closing[type]` is the table of the attributes to be sorted at the end of a message and their slot, or -1. Type 0
    is the request, table 0 has a row for each.
    """

    def __init__(self, request: Any, kept: Rows) -> None:
        self.tables: dict[str, Table] = {}
        self.values: list[tuple[str, int]] = []  # slots with texts that Python may have to write
        self._entries: list[Ints] = []
        self._closing: list[int] = []
        self._checks: dict[str, int] = {}
        self._rows(request.DESCRIPTOR, kept)
        self.fields: Ints = np.concatenate(self._entries)
        self.closing: Ints = np.array(self._closing, dtype=np.int64)

    def widths(self) -> list[int]:
        """Return how many slots a row of each table has."""
        return [len(table.slots) for table in self.tables.values()]

    def _table(self, name: str, first: str = "owner") -> Table:
        table = self.tables.get(name)
        if table is None:
            table = self.tables[name] = Table(name, len(self.tables))
            table.slot(first)
        return table

    def _type(self) -> int:
        self._entries.append(np.zeros(TAGS, dtype=np.int64))
        self._closing.append(-1)
        return len(self._entries) - 1

    def _rows(self, descriptor: Descriptor, kept: Rows) -> int:
        return self._fill(self._type(), descriptor, self._table(kept.table), kept.fields)

    def _fill(self, kind: int, descriptor: Descriptor, table: Table, kept: Mapping[str, Any]) -> int:
        unknown = set(kept) - set(descriptor.fields_by_name)
        if unknown:
            raise ValueError(f"{descriptor.full_name} has no field {', '.join(sorted(unknown))}")
        for one in descriptor.fields:
            what = kept.get(one.name)
            self._enter(kind, one, self._checked(one) if what is None else self._kept(kind, one, table, what))
        return kind

    def _enter(self, kind: int, one: FieldDescriptor, entry: int) -> None:
        entries = self._entries[kind]
        first = one.number << 3
        entries[first : first + 8] = wire.ODD
        entries[first | (wire.LENGTH if one.is_repeated else _WIRES[one.type])] = entry

    def _kept(self, kind: int, one: FieldDescriptor, table: Table, what: Any) -> int:
        match what:
            case Rows(table=name):
                return _entry(wire.ROWS, table.slot(name), self._rows(_inside(one), what), self.tables[name].number)
            case Attributes(table=name):
                own, slot = self._table(name, "key"), table.slot(name)
                self.values.append((name, own.slot("value")))
                self._closing[kind] = own.number << 8 | slot
                return _entry(wire.ATTRIBUTE, slot, self._check(_inside(one)), own.number)
            case Inside(slot=name, fields=fields):
                inside = self._fill(self._type(), _inside(one), table, fields)
                return _entry(wire.INSIDE, table.slot(name), inside, one.number)
            case Keep(slot=name, limit=limit):
                return self._keep(one, table, table.slot(name), limit)
            case _:
                raise TypeError(f"{one.full_name} can not be kept as {what!r}")

    def _keep(self, one: FieldDescriptor, table: Table, slot: int, limit: int) -> int:
        if one.message_type is not None:
            self.values.append((table.name, slot))
            return _entry(wire.VALUE, slot, self._check(_inside(one)))
        if one.is_repeated:
            return _entry(wire.WORDS if _WIRES[one.type] == wire.FIXED64 else wire.VARINTS, slot)
        if one.name.endswith("time_unix_nano"):
            return _entry(wire.TIME, slot)
        if one.type == FieldDescriptor.TYPE_STRING:
            return _entry(wire.TEXT, slot, limit // 1024)
        if one.type == FieldDescriptor.TYPE_BYTES:
            return _entry(wire.ID, slot, TRACE_ID_BYTES if one.name == "trace_id" else SPAN_ID_BYTES)
        return _entry(_number(one), slot)

    def _checked(self, one: FieldDescriptor) -> int:
        if one.message_type is not None:
            return _entry(wire.CHECK, 0, self._check(_inside(one)))
        if one.is_repeated and one.type != FieldDescriptor.TYPE_STRING:
            return wire.ODD
        if one.type == FieldDescriptor.TYPE_STRING:
            return wire.CHECK_TEXT
        return wire.SKIP_BYTES if one.type == FieldDescriptor.TYPE_BYTES else wire.SKIP

    def _check(self, descriptor: Descriptor) -> int:
        """Return the type of a message that is only checked."""
        known = self._checks.get(descriptor.full_name)
        if known is not None:
            return known
        kind = self._checks[descriptor.full_name] = self._type()
        return self._fill(kind, descriptor, Table("", -1), {})


def _inside(one: FieldDescriptor) -> Descriptor:
    if one.message_type is None:
        raise TypeError(f"{one.full_name} is no message")
    return one.message_type


def _number(one: FieldDescriptor) -> int:
    if one.name == "as_double":
        return wire.VALUE_DOUBLE
    return _NUMBERS.get(one.type, wire.VARINT_NUMBER)


def _entry(kind: int, slot: int, inside: int = 0, number: int = 0) -> int:
    return kind | slot << 8 | inside << 16 | number << 24


def resources(resource_field: str, scope_field: str, records: Mapping[str, Any]) -> Rows:
    """Return what is kept of a request of any signal, given the names of its fields and what is kept of a scope."""
    scope = {
        "name": Keep("name"),
        "version": Keep("version"),
        "attributes": Attributes("scope_attributes"),
        "dropped_attributes_count": Keep("dropped_attributes_count"),
    }
    resource = {"attributes": Attributes("resource_attributes")}
    scopes = Rows("scopes", {"scope": Inside("scope", scope), "schema_url": Keep("schema_url"), **records})
    kept = {"resource": Inside("resource", resource), "schema_url": Keep("schema_url"), scope_field: scopes}
    return Rows("requests", {resource_field: Rows("resources", kept)})
