"""Columns of a batch out of the tables of the compiled walk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from libs.otlp import emit
from libs.otlp.batch import NEWEST_NANOSECONDS, Message
from libs.otlp.compiled import Bytes, Ints
from libs.otlp.shredder import EncodedMaps, Shredder
from libs.otlp.values import oldest_kept

SIZE: Final = 0xFFFFFFFF  # the part of a reference that is its size
NO_ROWS: Final[Ints] = np.empty(0, dtype=np.int64)
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
        return len(self.refs) + 2 * int((self.refs & SIZE).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_ids(out, at, self.data, self.refs)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Bytes by reference, copied as they are."""

    data: Bytes
    refs: Ints

    @property
    def size(self) -> int:
        return int((self.refs & SIZE).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_blobs(out, at, self.data, self.refs)


@dataclass(frozen=True, slots=True)
class RepeatedStrings:
    """Texts by reference, each as often as `counts` says."""

    data: Bytes
    refs: Ints
    counts: Ints

    @property
    def size(self) -> int:
        return int((self.counts * emit.string_sizes(self.refs)).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_repeated_strings(out, at, self.data, self.refs, self.counts)


@dataclass(frozen=True, slots=True)
class RepeatedBlobs:
    """Bytes by reference, each as often as `counts` says."""

    data: Bytes
    refs: Ints
    counts: Ints

    @property
    def size(self) -> int:
        return int((self.counts * (self.refs & SIZE)).sum())

    def put(self, out: Bytes, at: int) -> None:
        emit.put_repeated_blobs(out, at, self.data, self.refs, self.counts)


Parts = Sequence[Part]


def offsets(counts: Ints) -> Part:
    """Return the ends of arrays of those sizes."""
    return Numbers(np.cumsum(counts, dtype=np.int64))


def numbers(values: npt.NDArray[Any], dtype: str) -> Parts:
    """Return numbers cut to a type, given as numpy writes it."""
    return [Numbers(values.astype(dtype))]


def or_else(values: Ints, others: Callable[[], Ints]) -> Ints:
    """Return values, with others in the place of zeros."""
    return values if values.all() else np.where(values != 0, values, others())


class Tables:
    """The tables of one batch, and the columns that come from resources, scopes and messages."""

    def __init__(self, shredder: Shredder, messages: Sequence[Message], scopes: Ints) -> None:
        """Take the tables just shredded; `scopes` is the scope of each output row, in ascending order."""
        self.shredder = shredder
        self._messages = messages
        self.rows = len(scopes)
        self._scopes = scopes
        self._counts: Ints = np.bincount(scopes, minlength=len(shredder.column("scopes", "owner"))).astype(np.int64)
        self._resource_of = shredder.column("scopes", "owner")
        self._request_of = shredder.column("resources", "owner")[self._resource_of]
        self._message_of = shredder.column("requests", "owner")[self._request_of]

    def messages(self, rows: Ints) -> set[int]:
        """Return the messages that any of some rows came from, all by their numbers."""
        return set(self._message_of[self._scopes[rows]].tolist())

    def without_rows(self) -> set[int]:
        """Return the messages that have bytes and gave no row."""
        given = set(self._message_of[self._counts > 0].tolist())
        return {index for index, one in enumerate(self._messages) if one.value and index not in given}

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
        resource, scope = self._by_resource, self._by_scope
        return {
            "TenantId": scope(self._named([m.tenant for m in self._messages])),
            "ServiceName": resource(take.find("resources", "resource_attributes", SERVICE_NAME)),
            "ResourceSchemaUrl": resource(take.column("resources", "schema_url")),
            "ResourceAttributes": self._maps(take.add_maps("resources", "resource_attributes"), self._resource_of),
            "ScopeSchemaUrl": scope(take.column("scopes", "schema_url")),
            "ScopeName": scope(take.column("scopes", "name")),
            "ScopeVersion": scope(take.column("scopes", "version")),
            "ScopeAttributes": self._maps(take.add_maps("scopes", "scope_attributes"), slice(None)),
            "ScopeDroppedAttrCount": numbers(self._spread(take.column("scopes", "dropped_attributes_count")), "<u4"),
            "TruncatedCount": numbers(np.zeros(int(self._counts.sum()), dtype=np.int64), "<u4"),
            "IngestTopic": scope(self._named([m.topic for m in self._messages])),
            "IngestPartition": numbers(self.per_message([m.partition for m in self._messages]), "<u4"),
            "IngestOffset": numbers(self.per_message([m.offset for m in self._messages]), "<u8"),
            "IngestIndex": numbers(self._index(), "<u4"),
        }

    def outside(self, times: Ints) -> Ints:
        """Return the rows, given the times of all, that the tables may not keep; see `values.kept_time`."""
        oldest = [oldest_kept(message.received_ms * 1_000_000) for message in self._messages]
        if not len(times) or (times.min() >= max(oldest) and times.max() <= NEWEST_NANOSECONDS):
            return NO_ROWS
        return np.flatnonzero((times < self.per_message(oldest)) | (times > NEWEST_NANOSECONDS))

    def received(self) -> Ints:
        """Return for each row when its message was received, Unix nanoseconds."""
        return self.per_message([m.received_ms * 1_000_000 for m in self._messages])

    def _spread(self, by_scope: Ints) -> Ints:
        return np.repeat(by_scope, self._counts)

    def _by_scope(self, refs: Ints) -> Parts:
        return [RepeatedStrings(self.shredder.data, refs, self._counts)]

    def _by_resource(self, refs: Ints) -> Parts:
        return self._by_scope(refs[self._resource_of])

    def _named(self, names: Sequence[str]) -> Ints:
        distinct = {name: index for index, name in enumerate(dict.fromkeys(names))}
        refs = self.shredder.add_texts(list(distinct))
        return refs[[distinct[name] for name in names]][self._message_of]

    def _maps(self, maps: EncodedMaps, owner: Ints | slice) -> Parts:
        data, counts = self.shredder.data, self._counts
        return [
            offsets(self._spread(maps.counts[owner])),
            RepeatedBlobs(data, maps.keys[owner], counts),
            RepeatedBlobs(data, maps.values[owner], counts),
        ]

    def _index(self) -> Ints:
        """Return the number of each row within its message."""
        counts = np.bincount(self._request_of, weights=self._counts).astype(np.int64)
        return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
