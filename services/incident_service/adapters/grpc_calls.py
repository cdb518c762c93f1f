"""What every rpc has in common: errors as statuses, a deadline, a transaction for writes, and idempotency keys."""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from libs.kernel.errors import IncidentScopeError, InvalidInput, Unavailable
from libs.runtime.grpc_server import current_tenant, text_metadata
from services.incident_service.adapters import requests as check
from services.incident_service.domain.model import Reason
from services.incident_service.handlers.writes import NotFound, Refused, Writes
from services.incident_service.ports import GroupAlreadyOpen, Once, Transaction

if TYPE_CHECKING:  # generic only in the stubs
    Context = grpc.aio.ServicerContext[Any, Any]
else:
    Context = grpc.aio.ServicerContext

log = structlog.get_logger()
LONGEST_SECONDS = 30.0  # of a call, when its caller sets no deadline
IDEMPOTENCY_KEY = "idempotency-key"
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Rpc = Callable[[Any, Request, Context], Awaitable[Response]]


class SlowReader(IncidentScopeError):
    """A watcher reads more slowly than things change."""


_STATUSES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (Unavailable, grpc.StatusCode.UNAVAILABLE),
    (GroupAlreadyOpen, grpc.StatusCode.ABORTED),
    (SlowReader, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)
_REFUSALS = {
    Reason.STALE_VERSION: grpc.StatusCode.ABORTED,
    Reason.POSTMORTEM_EXISTS: grpc.StatusCode.ALREADY_EXISTS,
}


def status_of(error: Exception) -> grpc.StatusCode:
    """Return the gRPC status that tells of an error."""
    if isinstance(error, Refused):
        return _REFUSALS.get(error.reason, grpc.StatusCode.FAILED_PRECONDITION)
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


@asynccontextmanager
async def answering(context: Context, method: str) -> AsyncIterator[None]:
    """Turn our errors into statuses. A cancelled call passes through and is rolled back."""
    try:
        yield
    except (IncidentScopeError, GroupAlreadyOpen, TimeoutError) as exc:
        status = status_of(exc)
        if status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL):
            log.warning("call_failed", method=method, error=str(exc))
        await context.abort(status, str(exc) or f"not done within {LONGEST_SECONDS:.0f} s")


def reading(method: Callable[[Any, Request], Awaitable[Response]]) -> Rpc[Request, Response]:
    """Make a method an rpc that reads."""

    @functools.wraps(method)
    async def wrapped(self: Any, request: Request, context: Context) -> Response:
        async with answering(context, method.__name__), asyncio.timeout(LONGEST_SECONDS):
            return await method(self, request)
        raise AssertionError("abort returned")

    return wrapped


def writing(
    answer: type[Response],
) -> Callable[[Callable[[Any, Request, Transaction], Awaitable[Response]]], Rpc[Request, Response]]:
    """Make a method an rpc that writes: in one transaction, once for each idempotency key."""

    def make(method: Callable[[Any, Request, Transaction], Awaitable[Response]]) -> Rpc[Request, Response]:
        @functools.wraps(method)
        async def wrapped(self: Any, request: Request, context: Context) -> Response:
            async with answering(context, method.__name__), asyncio.timeout(LONGEST_SECONDS):
                writes: Writes = self.writes
                once = once_of(method.__name__, request, context)
                encode, decode = answer.SerializeToString, answer.FromString
                return await writes.run(
                    current_tenant(), once, functools.partial(method, self, request), encode, decode
                )
            raise AssertionError("abort returned")

        return wrapped

    return make


def once_of(method: str, request: Message, context: Context) -> Once | None:
    """Return what the call's idempotency key stands for, None without one; raises InvalidInput."""
    given = text_metadata(context.invocation_metadata()).get(IDEMPOTENCY_KEY)
    if given is None:
        return None
    digest = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return Once(check.idempotency_key(given), method, digest)
