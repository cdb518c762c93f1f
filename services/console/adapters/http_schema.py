"""OpenAPI schemas of contract messages, as protobuf's JSON mapping writes them.

https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from services.console.adapters.http_problems import PROBLEM_TYPE
from services.console.domain.windows import SPAN

Schema = dict[str, Any]
ONE_OF_MANY = {"status": "statuses", "severity": "severities", "service": "services"}  # in a query one says one
_F = FieldDescriptor
_SCALARS: dict[int, Schema] = {
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_INT32: {"type": "integer", "format": "int32"},
    _F.TYPE_UINT32: {"type": "integer", "format": "int32", "minimum": 0},
    _F.TYPE_INT64: {"type": "string", "format": "int64"},
    _F.TYPE_UINT64: {"type": "string", "format": "uint64"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_BYTES: {"type": "string", "format": "byte"},
}
_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string", "description": "Names of fields in camel case, with commas."},
}
PROBLEM: Schema = {
    "type": "object",
    "description": "What went wrong (RFC 9457). `code` is stable.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
    },
}


def schemas(*roots: Descriptor) -> dict[str, Schema]:
    """Return the schemas of messages and everything in them, by full name."""
    found: dict[str, Schema] = {}
    for root in roots:
        _collect(root, found)
    return found


def _collect(message: Descriptor, found: dict[str, Schema]) -> None:
    if message.full_name in found:
        return
    properties: Schema = {}
    found[message.full_name] = {"type": "object", "additionalProperties": False, "properties": properties}
    for field in message.fields:
        properties[field.json_name] = _field(field, found)


def _field(field: FieldDescriptor, found: dict[str, Schema]) -> Schema:
    schema = _single(field, found)
    return {"type": "array", "items": schema} if field.is_repeated else schema


def _single(field: FieldDescriptor, found: dict[str, Schema]) -> Schema:
    if field.enum_type is not None:
        return {"type": "string", "enum": [v.name for v in field.enum_type.values]}
    message = field.message_type
    if message is None:
        return dict(_SCALARS[field.type])
    if message.full_name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[message.full_name])
    _collect(message, found)
    return {"$ref": reference(message.full_name)}


def reference(name: str) -> str:
    """Return the reference to the schema of a message's full name."""
    return f"#/components/schemas/{name}"


def answers(message: type[Message], ok: str, problems: dict[int, str], stream: bool = False) -> dict[int | str, Schema]:
    """Return the `responses` of an operation: its answer, or a stream of them, and the problems it can end with."""
    schema: Schema = {"schema": {"type": "string"} if stream else {"$ref": reference(message.DESCRIPTOR.full_name)}}
    body = {"text/event-stream" if stream else "application/json": schema}
    problem = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused: dict[int | str, Schema] = {code: {"description": d, "content": problem} for code, d in problems.items()}
    return {200: {"description": ok, "content": body}, **refused}


def body_of(message: type[Message], from_path: Sequence[str] = ()) -> Schema:
    """Return the `requestBody` of an operation; fields that the path gives are left to it."""
    note = f"{' and '.join(f'`{name}`' for name in from_path)}: from the path; may be left out." if from_path else ""
    content = {"application/json": {"schema": {"$ref": reference(message.DESCRIPTOR.full_name)}}}
    return {"requestBody": {"required": True, "description": note, "content": content}}


def parameters_of(message: type[Message], from_path: Sequence[str] = ()) -> list[Schema]:
    """Return the query parameters that stand for a request's fields."""
    fields: list[Any] = [f for f in message.DESCRIPTOR.fields if f.name not in from_path]
    made = [_parameter(f.json_name, f) for f in fields]
    singular = {plural: name for name, plural in ONE_OF_MANY.items()}
    more = [_parameter(singular[f.name], f) for f in fields if f.name in singular]
    return made + [parameter | {"description": f"As `{ONE_OF_MANY[parameter['name']]}`."} for parameter in more]


def _parameter(name: str, field: FieldDescriptor) -> Schema:
    if field.enum_type is not None:
        schema: Schema = {"type": "string", "enum": [*words_of(field.enum_type), *words_of(field.enum_type).values()]}
    elif field.message_type is not None and field.message_type.full_name == "google.protobuf.Duration":
        schema = {"type": "string", "pattern": SPAN}
    else:
        schema = _single(field, {})
    shown = {"type": "array", "items": schema} if field.is_repeated else schema
    return {"name": name, "in": "query", "required": False, "schema": shown}


def words_of(enum: EnumDescriptor) -> dict[str, str]:
    """Return an enum's values by the words a query may say for them: `INCIDENT_STATUS_OPEN` by `open`."""
    names = [value.name for value in enum.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    return {name.removeprefix(prefix).lower(): name for name in names}


def idempotency_key(most: int) -> Schema:
    """Return the header parameter of writes that shall happen once."""
    text = "A write repeated with the same key within a day happens once and is answered as before."
    schema = {"type": "string", "maxLength": most, "pattern": "^[ -~]*$"}
    return {"name": "Idempotency-Key", "in": "header", "required": False, "description": text, "schema": schema}
