"""A batch of messages to Native blocks through the compiled walk: what the three signals share.

Messages the walk does not take (JSON, and whatever is unusual) go through the reference decoder and become a second
block behind the first.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from libs.otlp.batch import MAX_MESSAGE_BYTES, OLDEST_NANOSECONDS, DecodedBatch, Message
from libs.otlp.columns import NO_ROWS, SERVICE_NAME, Parts, Raw, Tables
from libs.otlp.compiled import Bytes, Ints
from libs.otlp.fingerprint import fingerprint
from libs.otlp.layout import Layout, Rows
from libs.otlp.native import Column, encode_string, varint
from libs.otlp.shredder import Shredder
from libs.otlp.walk import Signal, decode, is_json

VERSION: Final = 4  # in the plan of a batch: raise it when the same messages begin to give other bytes
HUGE_BYTES: Final = 4 * 1024 * 1024
BLOCK_BYTES: Final = 16 * 1024 * 1024  # of messages that become one block

_new_bytes = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)(
    ("PyBytes_FromStringAndSize", ctypes.pythonapi)
)
_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)(("PyBytes_AsString", ctypes.pythonapi))
_HUGE_PAGES: Final[int] = getattr(mmap, "MADV_HUGEPAGE", 0)  # 0, where there is none, is the normal way
_advise = ctypes.CDLL(None).madvise
_advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Shape:
    """What is particular to a signal.

    `scopes` gives the scope of each output row, `columns` what `Tables.shared` does not; `constants` are the texts
    it refers to. `times` gives the time of each row, Unix nanoseconds. `fill` makes of a new record one that has a row,
    `doubtful` gives the rows whose messages the reference has to judge.
    """

    kept: Rows
    constants: tuple[str, ...]
    scopes: Callable[[Shredder], Ints]
    columns: Callable[[Tables, Ints], Mapping[str, Parts]]
    times: Callable[[Tables], Ints]
    fill: Callable[[Any], object] = lambda record: record.SetInParent()
    doubtful: Callable[[Tables], Ints] = lambda _tables: NO_ROWS


class ColumnarDecoder:
    """Decodes batches of one signal, see `libs.otlp.batch.Decode`. Safe to share: each thread has its own buffers."""

    def __init__(self, signal: Signal, shape: Shape) -> None:
        self._signal = signal
        self._shape = shape
        self._layout = Layout(signal.request, shape.kept)
        self._names = tuple(column.name for column in signal.columns)
        self._threads = threading.local()

    def __call__(self, batch: Sequence[Message]) -> DecodedBatch:
        """Return the rows of a batch as one or more Native blocks, and what was refused."""
        blocks, left = self.walk(batch)
        if not left and blocks:
            return DecodedBatch(self._names, _joined(blocks), sum(rows for rows, _ in blocks), ())
        rest = decode(self._signal, [batch[i] for i in left])
        blocks.append((rest.rows, rest.body))
        blocks = [block for block in blocks if block[0]] or blocks[-1:]
        rejected = tuple(replace(rejected, index=left[rejected.index]) for rejected in rest.rejected)
        return DecodedBatch(self._names, _joined(blocks), sum(rows for rows, _ in blocks), rejected, rest.truncated)

    def warm_up(self) -> None:
        """Compile, or load from the cache, all that decoding and the plan of a batch need; may take seconds."""
        request = self._signal.request()
        scope = getattr(getattr(request, self._signal.resources).add(), self._signal.scopes).add()
        self._shape.fill(getattr(scope, self._signal.records).add())
        received_ms = OLDEST_NANOSECONDS // 1_000_000
        fingerprint(self([Message(request.SerializeToString(), "", "", 0, 0, received_ms)]).body)

    def walk(self, batch: Sequence[Message]) -> tuple[list[tuple[int, bytes]], list[int]]:
        """Return the blocks of what the walk takes, each with its number of rows, and the indexes of all others."""
        blocks: list[tuple[int, bytes]] = []
        left = [index for index, message in enumerate(batch) if not _walkable(message)]
        for indexes in _portions(batch):
            rows, body, refused = self._block(batch, indexes)
            if rows:
                blocks.append((rows, body))
            left += refused
        return blocks, sorted(left)

    def _block(self, batch: Sequence[Message], indexes: Sequence[int]) -> tuple[int, bytes, list[int]]:
        """Return the number of rows, the block, and the messages that are left to the reference."""
        if not indexes:
            return 0, b"", []
        messages = [batch[i] for i in indexes]
        shredder = self._shredder()
        try:
            status = shredder.run(messages)
        except DecodeError:  # a value the walk let pass and protobuf does not
            return 0, b"", list(indexes)
        tables = Tables(shredder, messages, self._shape.scopes(shredder))
        times = self._shape.times(tables)
        doubtful = tables.messages(tables.outside(times)) | tables.messages(self._shape.doubtful(tables))
        if doubtful:
            rows, body, refused = self._block(batch, [one for i, one in enumerate(indexes) if i not in doubtful])
            return rows, body, [*refused, *(indexes[i] for i in doubtful)]
        left = tables.without_rows().union(np.flatnonzero(status < 0).tolist())
        refused = [indexes[i] for i in left]
        if not tables.rows:
            return 0, b"", refused
        body = _write(self._signal.columns, {**tables.shared(), **self._shape.columns(tables, times)}, tables.rows)
        shredder.release()
        return tables.rows, body, refused

    def _shredder(self) -> Shredder:
        shredder: Shredder | None = getattr(self._threads, "shredder", None)
        if shredder is None:
            shredder = self._threads.shredder = Shredder(self._layout, (SERVICE_NAME, *self._shape.constants))
        return shredder


def _joined(blocks: Sequence[tuple[int, bytes]]) -> bytes:
    return blocks[0][1] if len(blocks) == 1 else b"".join([body for _, body in blocks])


def _walkable(message: Message) -> bool:
    whole = message.first_index == 0 and len(message.value) <= MAX_MESSAGE_BYTES
    return whole and not is_json(message.value, message.content_type)


def _portions(batch: Sequence[Message]) -> Iterator[list[int]]:
    """Cut what is walkable in a batch into portions that each become a block."""
    portion: list[int] = []
    size = 0
    for index, message in enumerate(batch):
        if not _walkable(message):
            continue
        if portion and size + len(message.value) > BLOCK_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(index)
        size += len(message.value)
    if portion:
        yield portion


def _write(columns: Sequence[Column], data: Mapping[str, Parts], rows: int) -> bytes:
    heads = [encode_string(column.name) + encode_string(column.type.name) for column in columns]
    parts = chain.from_iterable((Raw(head), *data[column.name]) for head, column in zip(heads, columns, strict=True))
    sized = [(part, part.size) for part in (Raw(varint(len(columns)) + varint(rows)), *parts)]
    body, out = _allocate(sum(size for _, size in sized))
    at = 0
    for part, size in sized:
        part.put(out, at)
        at += size
    return body


def _allocate(size: int) -> tuple[bytes, Bytes]:
    """Return new bytes of that size and an array to fill them through, as C code does before anyone sees them."""
    body: bytes = _new_bytes(None, size)
    address: int = _address(body)
    if (
        size >= HUGE_BYTES
    ):  # else the kernel clears and maps every 4 KiB of it one by one, as long as it takes to decode
        begin = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        _advise(begin, (address + size - begin) // mmap.PAGESIZE * mmap.PAGESIZE, _HUGE_PAGES)
    return body, np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
