"""OTLP/JSON to the protobuf messages it stands for.

It is not protobuf's own JSON form: ids are hex, and fields a receiver does not know are to be ignored. What the
Collector takes beyond that is taken: names of enum values, null for an empty element, base64 of either alphabet.
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from functools import cache, partial
from math import nan
from typing import Any, Final, NoReturn

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from libs.kernel.errors import InvalidInput
from libs.otlp.as_bytes import was_string, with_bytes

MAX_DEPTH = 100  # messages within messages, the same bound protobuf's own parser has

HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})

BEGINNING: Final = re.compile(rb'(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t\r\n]*["}]')
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")

STANDARD_BASE64: Final = str.maketrans("-_", "+/")

SURROGATES: Final = re.compile("[\ud800-\udfff]")
SURROGATE_ESCAPE: Final = "\\ud"  # of a pair, mostly

Set = Callable[[Any, Any, str, int], None]


def parse_json(kind: Any, value: bytes) -> Any:
    """Return the message of type `kind` that JSON bytes stand for.

    Raises InvalidInput: `malformed_json` when it is no JSON, `invalid_json` with the path of what does not fit.
    """
    try:
        text, broken = _text(value)
        document = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("malformed_json", f"the body is not JSON: {error}") from error
    message = with_bytes(kind)() if broken else kind()
    _fill(message, document, "", MAX_DEPTH)
    return message


def looks_like_json(value: bytes) -> bool:
    """Tell whether bytes of which nobody says what they are can be read as a JSON object, and as nothing else.

    A newline is also how protobuf begins, and the brace behind it a length: what begins so is JSON if it all is.
    """
    if value[:1] == b"{":  # no export request begins so in protobuf
        return True
    if BEGINNING.match(value) is None and value[:2] not in UTF16_MARKS:
        return False
    try:
        return isinstance(json.loads(_text(value)[0]), dict)
    except (ValueError, RecursionError):
        return False


def has_unknown_names(kind: Any, value: bytes) -> bool:
    """Tell whether a document that `parse_json` takes has a name anywhere that `kind` does not know."""
    return _has_unknown(kind.DESCRIPTOR, json.loads(_text(value)[0]))


def _has_unknown(descriptor: Descriptor, document: Any) -> bool:
    known = {name: field for field in descriptor.fields for name in (field.name, field.json_name)}
    for name, value in (document or {}).items():
        if name not in known:
            return True
        inside = known[name].message_type
        values = value if isinstance(value, list) else [value]
        if inside is not None and any(_has_unknown(inside, one) for one in values):
            return True
    return False


def _text(value: bytes) -> tuple[str, bool]:
    """Return a document, and whether there may be strings in it that are not Unicode; raises ValueError.

    Bytes that are not UTF-8 become lone surrogates, as which JSON itself can write them.
    """
    encoding = json.detect_encoding(value)
    text = value.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass")
    return text, SURROGATE_ESCAPE in text.lower() or SURROGATES.search(text) is not None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _fail(path: str, problem: str) -> NoReturn:
    raise InvalidInput("invalid_json", f"{path or 'the document'}: {problem}")


def _fill(message: Any, document: Any, path: str, depth: int) -> None:
    if not isinstance(document, dict):
        _fail(path, f"an object is expected, not {_kind(document)}")
    if depth == 0:
        _fail(path, f"nested deeper than {MAX_DEPTH} messages")
    setters = _setters(message.DESCRIPTOR)
    for name, value in document.items():
        setter = setters.get(name)
        if setter is not None and value is not None:
            setter(message, value, f"{path}.{name}" if path else name, depth)


@cache
def _setters(descriptor: Descriptor) -> dict[str, Set]:
    by_name: dict[str, Set] = {}
    for field in descriptor.fields:
        by_name[field.name] = by_name[field.json_name] = _setter(field)
    return by_name


def _setter(field: FieldDescriptor) -> Set:
    if field.message_type is not None:
        return _set_messages(field.name) if field.is_repeated else _set_message(field.name)
    read = _reader(field)
    if not field.is_repeated:
        return _set_scalar(field.name, read)
    return _set_scalars(field.name, read, nan if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else 0)


def _set_message(name: str) -> Set:
    def put(message: Any, value: Any, path: str, depth: int) -> None:
        child = getattr(message, name)
        child.SetInParent()
        _fill(child, value, path, depth - 1)

    return put


def _set_messages(name: str) -> Set:
    def put(message: Any, value: Any, path: str, depth: int) -> None:
        for index, item in enumerate(_list(value, path)):
            child = getattr(message, name).add()
            if item is not None:
                _fill(child, item, f"{path}[{index}]", depth - 1)

    return put


def _set_scalar(name: str, read: Callable[[Any, str], Any]) -> Set:
    def put(message: Any, value: Any, path: str, _: int) -> None:
        try:
            setattr(message, name, read(value, path))
        except (ValueError, OverflowError) as error:
            _fail(path, str(error))

    return put


def _set_scalars(name: str, read: Callable[[Any, str], Any], empty: float) -> Set:
    """Return what sets repeated numbers; `empty` stands for null, as which JavaScript writes what is no number."""

    def read_item(item: Any, path: str) -> Any:
        return empty if item is None else read(item, path)

    def put(message: Any, value: Any, path: str, _: int) -> None:
        try:
            getattr(message, name).extend(
                [read_item(item, f"{path}[{i}]") for i, item in enumerate(_list(value, path))]
            )
        except (ValueError, OverflowError) as error:
            _fail(path, str(error))

    return put


def _reader(field: FieldDescriptor) -> Callable[[Any, str], Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if was_string(field):
            return _read_string_as_bytes if field.type == FieldDescriptor.TYPE_BYTES else _read_string
        case FieldDescriptor.CPPTYPE_STRING:
            return _read_hex if field.name in HEX_FIELDS else _read_base64
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return _read_float
        case FieldDescriptor.CPPTYPE_BOOL:
            return _read_bool
        case _ if field.enum_type is not None:
            return partial(_read_enum, field.enum_type)
        case _:
            return _read_integer


def _read_string(value: Any, path: str) -> str:
    return value if isinstance(value, str) else _fail(path, f"a string is expected, not {_kind(value)}")


def _read_string_as_bytes(value: Any, path: str) -> bytes:
    """Return the UTF-8 of a string, with one byte that never occurs in it for each lone surrogate."""
    return SURROGATES.sub("\udcff", _read_string(value, path)).encode("utf-8", "surrogateescape")


def _read_hex(value: Any, path: str) -> bytes:
    try:
        return bytes.fromhex(_read_string(value, path))
    except ValueError:
        _fail(path, f"not hexadecimal: {value[:64]!r}")


def _read_base64(value: Any, path: str) -> bytes:
    """Return bytes of base64 in either alphabet, with its padding or without."""
    plain = _read_string(value, path).translate(STANDARD_BASE64).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        _fail(path, f"not base64: {value[:64]!r}")


def _read_integer(value: Any, path: str) -> int:
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) <= 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    _fail(path, f"an integer is expected, not {_kind(value)}")


def _read_enum(kind: EnumDescriptor, value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        _fail(path, f"an enum is written as its number or name, not as {_kind(value)}")
    known = kind.values_by_name.get(value)
    return int(known.number) if known else _fail(path, f"{kind.name} has no value {value[:64]!r}")


def _read_float(value: Any, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if isinstance(value, str):
        return float(value)
    _fail(path, f"a number is expected, not {_kind(value)}")


def _read_bool(value: Any, path: str) -> bool:
    return value if isinstance(value, bool) else _fail(path, f"true or false is expected, not {_kind(value)}")


def _list(value: Any, path: str) -> list[Any]:
    return value if isinstance(value, list) else _fail(path, f"an array is expected, not {_kind(value)}")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
