"""Contract messages in protobuf's JSON mapping, in and out of HTTP."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from libs.kernel.errors import InvalidInput
from services.console.adapters.http_schema import ONE_OF_MANY, words_of
from services.console.adapters.http_security import WriteCheck, check_write
from services.console.domain import windows

M = TypeVar("M", bound=Message)
_BOOLEANS = {"true": True, "false": False}


def as_json(message: Message) -> str:
    """Return a message as JSON on one line."""
    return json_format.MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)


def answer(message: Message, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Return a message as an answer."""
    return Response(as_json(message), status, media_type="application/json")


def query(request: Request, message: M) -> M:
    """Read a message from the query, field by field; raises InvalidInput for what the message does not have.

    A field of many values may be called as one of them is; enums may be said in short, lengths of time as `24h`.
    """
    given = request.query_params
    known: dict[str, Any] = dict(message.DESCRIPTOR.fields_by_camelcase_name)
    if any(field.json_name in given for field, _ in message.ListFields()):
        raise InvalidInput("bad_request", "The id comes from the path.")
    fields: dict[str, Any] = {}
    for name in given:
        plural = ONE_OF_MANY.get(name, "")
        field = known.get(name) or known.get(plural)
        texts = [_value(name, field, text) for text in given.getlist(name)]
        if field is None or not field.is_repeated:
            fields[name] = texts[-1]  # without a field it is refused by name
        else:
            fields[field.json_name] = [*fields.get(field.json_name, ()), *texts]
    return _parsed(fields, message)


def _value(name: str, field: FieldDescriptor | None, text: str) -> Any:
    if field is None:
        return text
    if field.enum_type is not None:
        return _enum_value(name, field.enum_type, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _BOOLEANS.get(text, text)
    match field.message_type.full_name if field.message_type else "":
        case "google.protobuf.Timestamp":
            return windows.instant(name, text).isoformat()
        case "google.protobuf.Duration":
            return f"{windows.span(name, text) // timedelta(seconds=1)}s"
    return text


def _enum_value(name: str, enum: EnumDescriptor, text: str) -> str:
    words = words_of(enum)
    if text not in words and text not in words.values() and not text.isdigit():
        raise InvalidInput("bad_request", f"{name} {text[:40]!r} is not known; there are {', '.join(words)}.")
    return words.get(text, text)


def _parsed(fields: dict[str, Any], message: M) -> M:
    try:
        return json_format.ParseDict(fields, message)
    except (json_format.ParseError, ValueError) as exc:
        raise InvalidInput("bad_request", f"The query is not understood: {exc}") from exc


async def body(request: Request, message: M) -> M:
    """Read a message from a JSON body over the fields from the path; raises InvalidInput, or HTTPException 403, 415."""
    if check_write(dict(request.headers), browser_form=False) is WriteCheck.CROSS_SITE:
        raise HTTPException(403, "Pages of other sites may not write here.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send the body as application/json.")
    content = await request.body()
    if not content.lstrip().startswith(b"{"):
        raise InvalidInput("bad_request", "The body must be a JSON object.")
    read = type(message)()
    try:
        json_format.Parse(content, read)
    except (json_format.ParseError, ValueError, RecursionError) as exc:
        raise InvalidInput("bad_request", f"The body is not understood: {exc}") from exc
    return _addressed(message, read)


def _addressed(path: M, read: M) -> M:
    for field, value in path.ListFields():
        if getattr(read, field.name) not in ("", value):
            raise InvalidInput("bad_request", f"The body names another {field.json_name} than the path.")
        setattr(read, field.name, value)
    return read
