"""Columns of a batch out of the tables of the compiled walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from libs.otlp import emit
from libs.otlp.batch import Message
from libs.otlp.compiled import Bytes, Ints
from libs.otlp.shredder import EncodedMaps, Shredder

SERVICE_NAME: Final = "service.name"


class Part(Protocol):
    """A run of bytes of the output."""

    @property
    def size(self) -> int:
        """Return how many bytes `put` writes."""
        ...

    def put(self, out: Bytes, at: int) -> None:
        """Write them at a position."""
        ...


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes as they are."""

    value: bytes

    @property
    def size(self) -> int:
        return len(self.value)

    def put(self, out: Bytes, at: int) -> None:
        out[at : at + len(self.value)] = np.frombuffer(self.value, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers in the column's own type, one after the other."""

    values: npt.NDArray[Any]

    @property
    def size(self) -> int:
        return self.values.nbytes

    def put(self, out: Bytes, at: int) -> None:
        out[at : at + self.values.nbytes] = np.ascontiguousarray(self.values).view(np.uint8)


@dataclass(frozen=True, slots=True)
class Strings:
    """Texts by reference."""

    data: Bytes
    refs: Ints

    @property
    def size(self) -> int:
        return emit.strings_size(self.refs)

    def put(self, out: Bytes, at: int) -> None:
        emit.put_strings(out, at, self.data, self.refs)


@dataclass(frozen=True, slots=True)
class Ids:
    """Trace and span ids by reference, to be written in hex."""

    data: Bytes
    refs: Ints

    @property
    def size(self) -> int:
        return len(self.refs) + 2 * int((self.refs & 0xFFFFFFFF).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_ids(out, at, self.data, self.refs, emit.HEX)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Bytes by reference, copied as they are."""

    data: Bytes
    refs: Ints

    @property
    def size(self) -> int:
        return int((self.refs & 0xFFFFFFFF).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_blobs(out, at, self.data, self.refs)


Parts = Sequence[Part]


def offsets(counts: Ints) -> Part:
    """Return the ends of arrays of those sizes."""
    return Numbers(np.cumsum(counts, dtype=np.int64))


def numbers(values: npt.NDArray[Any], dtype: str) -> Parts:
    """Return numbers cut to a type, given as numpy writes it."""
    return [Numbers(values.astype(dtype))]


class Tables:
    """The tables of one batch, and the columns that come from resources, scopes and messages."""

    def __init__(self, shredder: Shredder, messages: Sequence[Message], scopes: Ints) -> None:
        """Take the tables just shredded; `scopes` is the scope of each output row."""
        self.shredder = shredder
        self._messages = messages
        self.scopes = scopes
        self._resource_of = shredder.column("scopes", "owner")
        self._request_of = shredder.column("resources", "owner")[self._resource_of]
        self._message_of = shredder.column("requests", "owner")[self._request_of]

    def per_message(self, values: Sequence[int]) -> Ints:
        """Return a number of each message as one of each row."""
        return self._spread(np.array(values, dtype=np.int64)[self._message_of])

    def strings(self, refs: Ints) -> Parts:
        """Return a column of texts."""
        return [Strings(self.shredder.data, refs)]

    def texts(self, table: str, slot: str) -> Parts:
        """Return a column of texts kept in a table."""
        return self.strings(self.shredder.column(table, slot))

    def named(self, codes: Ints, names: Sequence[str]) -> Parts:
        """Return a column of the names of enum values; a code without a name gets the first one."""
        code = codes.astype(np.int32)
        refs = np.array([self.shredder.constants.get(name, 0) for name in names], dtype=np.int64)
        return self.strings(refs[np.where((code >= 0) & (code < len(names)), code, 0)])

    def ids(self, table: str, slot: str) -> Parts:
        """Return a column of ids kept in a table."""
        return [Ids(self.shredder.data, self.shredder.column(table, slot))]

    def maps(self, owners: str, attributes: str) -> Parts:
        """Return the column of the attributes of a table's rows."""
        pairs = [*self.texts(attributes, "key"), *self.texts(attributes, "value")]
        return [offsets(self.shredder.column(owners, attributes)), *pairs]

    def shared(self) -> dict[str, Parts]:
        """Return the columns all signals have."""
        take = self.shredder
        tenant, topic = self._named([m.tenant for m in self._messages]), self._named([m.topic for m in self._messages])
        return {
            "TenantId": self.strings(self._spread(tenant)),
            "ServiceName": self._by_resource(take.find("resources", "resource_attributes", SERVICE_NAME)),
            "ResourceSchemaUrl": self._by_resource(take.column("resources", "schema_url")),
            "ResourceAttributes": self._repeated(take.add_maps("resources", "resource_attributes"), self._resource_of),
            "ScopeSchemaUrl": self.strings(self._spread(take.column("scopes", "schema_url"))),
            "ScopeName": self.strings(self._spread(take.column("scopes", "name"))),
            "ScopeVersion": self.strings(self._spread(take.column("scopes", "version"))),
            "ScopeAttributes": self._repeated(take.add_maps("scopes", "scope_attributes"), None),
            "ScopeDroppedAttrCount": numbers(self._spread(take.column("scopes", "dropped_attributes_count")), "<u4"),
            "IngestTopic": self.strings(self._spread(topic)),
            "IngestPartition": numbers(self.per_message([m.partition for m in self._messages]), "<u4"),
            "IngestOffset": numbers(self.per_message([m.offset for m in self._messages]), "<u8"),
            "IngestIndex": numbers(self._index(), "<u4"),
        }

    def received(self) -> Ints:
        """Return for each row when its message was received, Unix nanoseconds."""
        return self.per_message([m.received_ms * 1_000_000 for m in self._messages])

    def _spread(self, by_scope: Ints) -> Ints:
        return by_scope[self.scopes]

    def _by_resource(self, refs: Ints) -> Parts:
        return self.strings(self._spread(refs[self._resource_of]))

    def _named(self, names: Sequence[str]) -> Ints:
        distinct = {name: index for index, name in enumerate(dict.fromkeys(names))}
        refs = self.shredder.add_texts(list(distinct))
        return refs[[distinct[name] for name in names]][self._message_of]

    def _repeated(self, maps: EncodedMaps, owner: Ints | None) -> Parts:
        rows = self.scopes if owner is None else owner[self.scopes]
        data = self.shredder.data
        return [offsets(maps.counts[rows]), Blobs(data, maps.keys[rows]), Blobs(data, maps.values[rows])]

    def _index(self) -> Ints:
        """Return the number of each row within its message."""
        requests = self._spread(self._request_of)
        counts = np.bincount(requests)
        return np.arange(len(requests)) - np.repeat(np.cumsum(counts) - counts, counts)
