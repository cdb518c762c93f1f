"""Wraps around rpc handlers: refusing, naming the actor, putting on record, ending a stream with its key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from libs.access.audit import Entry
from libs.access.identity import Identity
from libs.access.streams import while_good

if TYPE_CHECKING:  # generic only in the stubs
    Handler = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
STATUS_DETAILS = "grpc-status-details-bin"
RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
ENDED = "revoked_api_key: the key that opened this stream is no longer good"


def refusal(code: grpc.StatusCode, message: str, client_streams: bool, retry_after: float = 0.0) -> Handler:
    """Return a handler that refuses; with `retry_after` seconds the caller is told when to come back."""

    async def refuse(_request: Any, context: Any) -> bytes:
        trailing = ((STATUS_DETAILS, _retry_info(code, message, retry_after)),) if retry_after else ()
        await context.abort(code, message, trailing)
        return b""

    make = grpc.stream_unary_rpc_method_handler if client_streams else grpc.unary_unary_rpc_method_handler
    return make(refuse)


def _retry_info(code: grpc.StatusCode, message: str, seconds: float) -> bytes:
    """Return a google.rpc.Status with RetryInfo: without it, exporters of telemetry give up on RESOURCE_EXHAUSTED.

    https://opentelemetry.io/docs/specs/otlp/#failures
    """
    delay = Duration()
    delay.FromMilliseconds(max(1, round(seconds * 1000)))
    detail = AnyMessage(type_url=RETRY_INFO, value=_field(1, delay.SerializeToString()))
    return b"\x08" + bytes([code.value[0]]) + _field(2, message.encode()) + _field(3, detail.SerializeToString())


def _field(number: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + body


def stamped(handler: Handler, actor: str) -> Handler:
    """Have a request's field `actor` say who calls, whatever the caller wrote there."""
    inner: Any = handler.unary_unary

    async def call(request: Any, context: Any) -> Any:
        descriptor = getattr(request, "DESCRIPTOR", None)  # telemetry stays bytes
        if descriptor is not None and "actor" in descriptor.fields_by_name:
            request.actor = actor
        return await inner(request, context)

    return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


def audited(handler: Handler, path: str, caller: Identity, record: Callable[[Entry], None]) -> Handler:
    """Put each call on record, with how it ended."""
    inner: Any = handler.unary_unary

    async def call(request: Any, context: Any) -> Any:
        subject = str(getattr(request, "id", ""))
        try:
            answer = await inner(request, context)
        except asyncio.CancelledError:
            record(Entry(caller, path, "CANCELLED", subject))
            raise
        except BaseException:
            code = context.code()
            record(Entry(caller, path, _name(code), subject, str(context.details() or "")[:200]))
            raise
        record(Entry(caller, path, "OK", subject or _subject(answer)))
        return answer

    return grpc.unary_unary_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


def _name(code: Any) -> str:
    if isinstance(code, grpc.StatusCode):
        return code.name
    return next((c.name for c in grpc.StatusCode if c.value[0] == code and code), "UNKNOWN")


def _subject(answer: Any) -> str:
    """Return the id of what was made: of the answer, or of the one message in it."""
    inner = next((value for _, value in answer.ListFields() if hasattr(value, "DESCRIPTOR")), None)
    return str(getattr(inner, "id", ""))


def supervised(handler: Handler, good: Callable[[], bool]) -> Handler:
    """End a stream of answers when its caller is no longer good."""
    inner: Any = handler.unary_stream

    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        items = inner(request, context)
        if not hasattr(items, "__aiter__"):  # a coroutine that writes to the context
            items = _nothing_of(items)
        async for item in while_good(items, good):
            yield item
        if not good():
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, ENDED)

    return grpc.unary_stream_rpc_method_handler(call, handler.request_deserializer, handler.response_serializer)


async def _nothing_of(work: Any) -> AsyncIterator[Any]:
    await work
    nothing: tuple[Any, ...] = ()
    for item in nothing:
        yield item
