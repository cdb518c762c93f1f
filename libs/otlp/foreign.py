"""Bytes that parse as an export of a signal and are none: another signal's, another format's.

Protobuf takes a field with the wrong wire type for one it does not know, and skips both. What is not known is to be
skipped, as a newer sender may write it; what is known and comes in another shape tells that the bytes mean another
thing (https://protobuf.dev/programming-guides/encoding/#structure).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from libs.kernel.errors import InvalidInput


def require_own_types(message: Any) -> None:
    """Raise InvalidInput `wrong_wire_type` if a field anywhere in a message came as another type than its own."""
    path = next(_mistyped(message, ""), "") if has_unknown(message) else ""
    if path:
        raise InvalidInput("wrong_wire_type", f"{path} has the wire type of another field: not a {_name(message)}")


def has_unknown(message: Any) -> bool:
    """Tell whether there is a field anywhere in a message that was not read."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return bool(known.ByteSize() != message.ByteSize())


def _mistyped(message: Any, path: str) -> Iterator[str]:
    known = message.DESCRIPTOR.fields_by_number
    unknown: Any = UnknownFieldSet(message)  # its stub knows no iteration
    for field in unknown:
        if field.field_number in known:
            yield path + known[field.field_number].name
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inside in value if field.is_repeated else (value,):
                yield from _mistyped(inside, f"{path}{field.name}.")


def _name(message: Any) -> str:
    return str(message.DESCRIPTOR.name)
