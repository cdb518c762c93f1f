"""Messages to tables: the buffers around the compiled walk, and what it leaves to Python."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from libs.otlp import emit
from libs.otlp.batch import Message
from libs.otlp.compiled import Bytes, Ints
from libs.otlp.layout import Layout
from libs.otlp.shred import (
    BASE,
    CAPACITY,
    COUNT,
    FIXED_TEXTS,
    PENDING,
    PENDING_COUNT,
    PENDING_WANTED,
    SIDE,
    SIDE_WANTED,
    WANTED,
    WIDTH,
    shred,
)  # fmt: skip
from libs.otlp.values import Cuts, number, text
from libs.otlp.wire import SLACK

KEPT_BYTES: Final = 96 * 1024 * 1024  # larger buffers are given back after a batch
DOUBLE_VALUE: Final = 4 << 3 | 1  # the tag of a double in an AnyValue


@dataclass(frozen=True, slots=True)
class EncodedMaps:
    """The attributes of some owners as bytes of a map column: how many, and references to keys and to values."""

    counts: Ints
    keys: Ints
    values: Ints


class Shredder:
    """The tables of the messages last shredded. Its buffers are kept from batch to batch; for one thread only."""

    def __init__(self, layout: Layout, constants: Sequence[str]) -> None:
        self._layout = layout
        self._head = FIXED_TEXTS + "".join(constants).encode()
        self._numbers = {name: table.number for name, table in layout.tables.items()}
        self._slots = {name: table.slots for name, table in layout.tables.items()}
        at = len(FIXED_TEXTS)
        self.constants: dict[str, int] = {}
        for constant in constants:
            self.constants[constant] = at << 32 | len(constant)
            at += len(constant)
        self._tables: Ints = np.zeros((len(self._numbers), 5), dtype=np.int64)
        self._tables[:, WIDTH] = layout.widths()
        self._tables[:, CAPACITY] = 1024
        self._state: Ints = np.zeros(8, dtype=np.int64)
        self._stack: Ints = np.zeros(192, dtype=np.int64)
        self._pending: Ints = np.empty(1024, dtype=np.int64)
        self._rows: Ints = np.empty(0, dtype=np.int64)
        self.data: Bytes = np.empty(0, dtype=np.uint8)
        self._columns: dict[str, Ints] = {}  # by table, each with a row for every slot
        self._side = 0  # bytes to be free for what is written beside the messages

    def run(self, messages: Sequence[Message]) -> Ints:
        """Shred messages and return the status of each, negative for those that are not in the tables."""
        sizes = np.array([len(message.value) for message in messages], dtype=np.int64)
        ends = len(self._head) + np.cumsum(sizes)
        self._load(messages, ends)
        self._side = max(self._side, len(self.data) // 8)
        self._columns.clear()
        status = np.zeros(len(messages), dtype=np.int64)
        while not self._walk(ends - sizes, ends, status):
            pass
        self._write_pending()
        return status

    def release(self) -> None:
        """Give back columns, and buffers that an uncommon batch has blown up."""
        self._columns.clear()
        if self._rows.nbytes > KEPT_BYTES:
            self._rows = np.empty(0, dtype=np.int64)
            self._tables[:, CAPACITY] = 1024
        if self.data.nbytes > KEPT_BYTES:
            self.data = np.empty(0, dtype=np.uint8)
            self._side = 0

    def column(self, table: str, slot: str) -> Ints:
        """Return a slot of all rows of a table; not to be changed."""
        columns = self._columns.get(table)
        if columns is None:
            rows = self._view(self._numbers[table])
            columns = self._columns[table] = np.empty(rows.shape[::-1], dtype=np.int64)
            emit.transpose(rows.ravel(), columns.ravel(), *rows.shape)
        column: Ints = columns[self._slots[table][slot]]
        return column

    def add_texts(self, texts: Sequence[str]) -> Ints:
        """Return the references of texts, put beside the messages."""
        encoded = [one.encode("utf-8", "replace") for one in texts]
        sizes = np.array([len(one) for one in encoded], dtype=np.int64)
        side = self._room(int(sizes.sum()))
        whole = b"".join(encoded)
        self.data[side : side + len(whole)] = np.frombuffer(whole, dtype=np.uint8)
        self._state[SIDE] += len(whole)
        return (side + np.cumsum(sizes) - sizes) << 32 | sizes

    def add_maps(self, owners: str, attributes: str) -> EncodedMaps:
        """Return the attributes of each row of table `owners` as bytes, put beside the messages."""
        counts = self.column(owners, attributes)
        keys, values = self.column(attributes, "key"), self.column(attributes, "value")
        side = self._room(emit.strings_size(keys) + emit.strings_size(values))
        key_refs, value_refs = np.empty_like(counts), np.empty_like(counts)
        self._state[SIDE] = emit.encode_maps(self.data, side, keys, values, counts, key_refs, value_refs)
        return EncodedMaps(counts, key_refs, value_refs)

    def find(self, owners: str, attributes: str, key: str) -> Ints:
        """Return for each row of table `owners` the reference of the value of one attribute."""
        counts = self.column(owners, attributes)
        found = np.empty_like(counts)
        keys, values = self.column(attributes, "key"), self.column(attributes, "value")
        emit.find_values(self.data, keys, values, counts, self.constants[key], found)
        return found

    def _view(self, table: int) -> Ints:
        base, width, _, count, _ = self._tables[table].tolist()
        return self._rows[base : base + width * count].reshape(count, width)

    def _load(self, messages: Sequence[Message], ends: Ints) -> None:
        size = int(ends[-1]) if len(messages) else len(self._head)
        if len(self.data) < size + size // 4 + SLACK:
            self.data = np.empty(size + size // 2 + 4096 + SLACK, dtype=np.uint8)
        target = self.data.data
        at = len(self._head)
        target[:at] = self._head
        for message in messages:
            end = at + len(message.value)
            target[at:end] = message.value
            at = end

    def _walk(self, starts: Ints, ends: Ints, status: Ints) -> bool:
        """Shred everything, or make room for what was full and return False."""
        layout, tables = self._layout, self._tables
        words = tables[:, WIDTH] * tables[:, CAPACITY]
        tables[:, BASE] = np.cumsum(words) - words
        tables[:, COUNT] = 0
        if len(self._rows) < int(words.sum()):
            self._rows = np.empty(int(words.sum()), dtype=np.int64)
        self._state[SIDE] = int(ends[-1]) if len(ends) else len(self._head)
        self._state[PENDING_COUNT] = 0
        done = shred(
            self.data, starts, ends, status, layout.fields, layout.closing, self._rows, tables.ravel(), self._state,
            self._stack, self._pending,
        )  # fmt: skip
        if done == len(starts):
            return True
        self._grow(int(self._state[WANTED]), int(ends[-1]) / max(int(starts[done]), 1))
        return False

    def _grow(self, wanted: int, share: float) -> None:
        """Make room; `share` is how much more room the whole batch takes than what was walked so far."""
        factor = max(2.0, min(1.25 * share, 64.0))
        if wanted == PENDING_WANTED:
            self._pending = np.empty(int(len(self._pending) * factor), dtype=np.int64)
        elif wanted == SIDE_WANTED:
            larger = np.empty(2 * len(self.data), dtype=np.uint8)
            larger[: len(self.data)] = self.data
            self.data = larger
        else:
            self._tables[wanted, CAPACITY] = int(self._tables[wanted, CAPACITY] * factor)

    def _room(self, size: int) -> int:
        """Return where `size` bytes can be put beside the messages."""
        side = int(self._state[SIDE])
        if side + size + SLACK > len(self.data):
            larger = np.empty(side + 2 * size + SLACK, dtype=np.uint8)
            larger[:side] = self.data[:side]
            self.data = larger
        return side

    def _write_pending(self) -> None:
        waiting = self._pending[: int(self._state[PENDING_COUNT])]
        if not len(waiting):
            return
        raw = [self.data[ref >> 32 : (ref >> 32) + (ref & 0xFFFFFFFF)].tobytes() for ref in waiting.tolist()]
        distinct = {value: index for index, value in enumerate(dict.fromkeys(raw))}
        refs = self.add_texts([_text(value) for value in distinct])
        refs = refs[[distinct[value] for value in raw]]
        for name, slot in self._layout.values:
            values = self._view(self._numbers[name])[:, slot]
            marked = values >= PENDING
            values[marked] = refs[values[marked] - PENDING]


def _text(raw: bytes) -> str:
    if raw[0] == DOUBLE_VALUE and len(raw) == 9:
        return number(struct.unpack("<d", raw[1:])[0])
    value: Any = AnyValue.FromString(raw)
    return text(value, Cuts())
