"""The shape all three signals share: resources hold scopes, scopes hold records; a bad one is split out alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from libs.kernel.errors import InvalidInput
from libs.otlp.as_bytes import with_bytes
from libs.otlp.batch import JSON, MAX_MESSAGE_BYTES, PROTOBUFS, DecodedBatch, Message, Rejected
from libs.otlp.foreign import has_unknown, require_own_types
from libs.otlp.native import Column, EncodedMap, block, encode_map
from libs.otlp.otlp_json import has_unknown_names, looks_like_json, parse_json
from libs.otlp.values import Cuts, attributes, pairs, string

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the records of one scope share.

    `received_ns` stands in for times the sender left out; `cut` is how much of the resource and the scope was cut.
    """

    message: Message
    received_ns: int
    service: str
    resource: EncodedMap
    resource_schema_url: str
    name: str
    version: str
    attributes: EncodedMap
    dropped_attributes: int
    schema_url: str
    cut: int

    def place(self, index: int, cut: int) -> Row:
        """Return how much of a row was cut, and its ingest coordinates."""
        return cut, self.message.topic, self.message.partition, self.message.offset, index


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal: its request message, the names of its three levels, its table's columns.

    `rows(record, scope, index)` numbers a record's rows from `index`; it raises InvalidInput for a record that can
    not be stored. `count(record)` is how many there would be; `genuine(record)` is false for one that has nothing of
    what every record of the signal has.
    """

    request: Any
    resources: str
    scopes: str
    records: str
    columns: tuple[Column, ...]
    rows: Callable[[Any, Scope, int], list[Row]]
    count: Callable[[Any], int] = lambda _record: 1
    genuine: Callable[[Any], bool] = lambda _record: True

    def each(self, request: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Yield the records of a request, each behind its resource and its scope."""
        for resource in getattr(request, self.resources):
            for scope in getattr(resource, self.scopes):
                for record in getattr(scope, self.records):
                    yield resource, scope, record


def decode(signal: Signal, batch: Sequence[Message]) -> DecodedBatch:
    """Return the rows of a batch of messages, and what was refused; never raises for what is in a message."""
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for index, message in enumerate(batch):
        try:
            request = parse(signal.request, message.value, message.content_type)
            require_own_types(request)
            require_records(signal, request, message.value, message.content_type)
        except InvalidInput as refused:
            rejected.append(Rejected(index, refused.reason, str(refused)))
            continue
        for outcome in _outcomes(signal, message, request):
            if isinstance(outcome, _Refusal):
                rejected.append(
                    Rejected(index, outcome.error.reason, str(outcome.error), outcome.part, outcome.first_index)
                )
            else:
                rows += outcome
    names = tuple(column.name for column in signal.columns)
    cut = names.index("TruncatedCount")
    truncated = sum(1 for row in rows if row[cut])
    return DecodedBatch(names, block(signal.columns, rows), len(rows), tuple(rejected), truncated)


def parse(kind: Any, value: bytes, content_type: str = "") -> Any:
    """Return an export request of type `kind` from protobuf or JSON bytes; with a broken string, as in as_bytes.py.

    Raises InvalidInput `message_too_large`, `undecodable`, or the reasons of `parse_json`.
    """
    if len(value) > MAX_MESSAGE_BYTES:
        raise InvalidInput("message_too_large", f"{len(value)} bytes, at most {MAX_MESSAGE_BYTES} are taken")
    if is_json(value, content_type):
        return parse_json(kind, value)
    try:
        return kind.FromString(value)
    except DecodeError:  # perhaps only for a string that is not UTF-8
        pass
    try:
        return with_bytes(kind).FromString(value)
    except DecodeError as error:
        raise InvalidInput("undecodable", f"not a protobuf {kind.DESCRIPTOR.name}: {error}") from error


def require_records(signal: Signal, request: Any, value: bytes, content_type: str = "") -> None:
    """Raise InvalidInput `not_otlp` if a request, given the bytes it was parsed from, is of another signal or none.

    That is so if no record comes from it though it says something, or if none of its records is genuine.
    """
    name = signal.request.DESCRIPTOR.name
    if any(signal.count(record) for _, _, record in signal.each(request)):
        if not any(signal.genuine(record) for _, _, record in signal.each(request)):
            raise InvalidInput("not_otlp", f"none of its records has what every record of {name} has")
    elif has_unknown_names(signal.request, value) if is_json(value, content_type) else has_unknown(request):
        raise InvalidInput("not_otlp", f"no record comes from it, and what it says is not of {name}")


def first_of(signal: Signal, request: Any) -> Any:
    """Return a request with the first record alone, or the whole one if it has none."""
    found = next(signal.each(request), None)
    return request if found is None else _alone(signal, type(request)(), *found)


def is_json(value: bytes, content_type: str) -> bool:
    """Tell JSON from protobuf: by the content type if that is of either, else by what the bytes are."""
    if content_type in PROTOBUFS:
        return False
    return content_type.startswith(JSON) or looks_like_json(value)


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: InvalidInput
    part: bytes
    first_index: int


def _outcomes(signal: Signal, message: Message, request: Any) -> Iterator[list[Row] | _Refusal]:
    """Yield the rows of each record, or why there are none. What is refused keeps its numbers, for a later replay."""
    index = message.first_index
    for resource in getattr(request, signal.resources):
        for scope in getattr(resource, signal.scopes):
            shared = _scope(message, resource, scope)
            for record in getattr(scope, signal.records):
                try:
                    rows = signal.rows(record, shared, index)
                except InvalidInput as error:
                    part = _alone(signal, type(request)(), resource, scope, record)
                    yield _Refusal(error, part.SerializeToString(), index)
                    index += signal.count(record)
                else:
                    index += len(rows)
                    yield rows


def _scope(message: Message, resource: Any, scope: Any) -> Scope:
    cuts = Cuts()
    resource_pairs = dict(pairs(resource.resource.attributes, cuts))
    scope_attributes = attributes(scope.scope.attributes, cuts)
    return Scope(
        message=message,
        received_ns=message.received_ms * 1_000_000,
        service=resource_pairs.get("service.name", ""),
        resource=encode_map(resource_pairs.items()),
        resource_schema_url=string(resource.schema_url, cuts),
        name=string(scope.scope.name, cuts),
        version=string(scope.scope.version, cuts),
        attributes=scope_attributes,
        dropped_attributes=scope.scope.dropped_attributes_count,
        schema_url=string(scope.schema_url, cuts),
        cut=cuts.count,
    )


def _alone(signal: Signal, request: Any, resource: Any, scope: Any, record: Any) -> Any:
    own_resource = getattr(request, signal.resources).add()
    own_resource.resource.CopyFrom(resource.resource)
    own_resource.schema_url = resource.schema_url
    own_scope = getattr(own_resource, signal.scopes).add()
    own_scope.scope.CopyFrom(scope.scope)
    own_scope.schema_url = scope.schema_url
    getattr(own_scope, signal.records).append(record)
    return request
