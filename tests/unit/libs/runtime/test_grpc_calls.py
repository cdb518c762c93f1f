"""What is wrapped around rpc handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as pb

from libs.access.audit import Entry
from libs.access.identity import Identity, Role
from libs.runtime.grpc_calls import ENDED, audited, refusal, stamped, supervised

ANA = Identity("acme", Role.RESPONDER, key_id="3f9c", name="Ana")


class Aborted(Exception):
    """What grpc raises inside `abort`."""


class Context:
    """As much of a call's context as is used."""

    def __init__(self) -> None:
        self.said: tuple[Any, ...] = ()

    async def abort(self, *said: Any) -> None:
        self.said = said
        raise Aborted

    def code(self) -> Any:
        return self.said[0] if self.said else 0

    def details(self) -> Any:
        return self.said[1] if self.said else ""


def call(handler: Any, request: Any, context: Context) -> Any:
    return asyncio.run(handler.unary_unary(request, context))


async def echo(request: Any, _context: Any) -> Any:
    return request


def test_the_actor_of_a_request_is_who_calls_and_requests_without_one_are_left_alone() -> None:
    handler = stamped(grpc.unary_unary_rpc_method_handler(echo), "Ana (responder key 3f9c)")

    assert call(handler, pb.AddNoteRequest(actor="the president"), Context()).actor == "Ana (responder key 3f9c)"
    assert call(handler, pb.GetIncidentRequest(id="1"), Context()) == pb.GetIncidentRequest(id="1")
    assert call(handler, b"telemetry", Context()) == b"telemetry"


def test_calls_are_put_on_record_with_how_they_ended() -> None:
    kept: list[Entry] = []

    async def fails(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.ABORTED, "stale")

    async def breaks(request: Any, context: Any) -> Any:
        raise ValueError("oh")

    async def hangs(request: Any, context: Any) -> Any:
        raise asyncio.CancelledError

    async def opens(request: Any, context: Any) -> Any:
        return pb.OpenIncidentResponse(incident=incident_pb2.Incident(id="new"))

    for method, error in ((fails, Aborted), (breaks, ValueError), (hangs, asyncio.CancelledError)):
        handler = audited(grpc.unary_unary_rpc_method_handler(method), "/Do", ANA, kept.append)
        with pytest.raises(error):
            call(handler, pb.AddNoteRequest(id="old"), Context())
    handler = audited(grpc.unary_unary_rpc_method_handler(opens), "/Do", ANA, kept.append)
    call(handler, pb.OpenIncidentRequest(), Context())

    assert [(e.subject, e.outcome, e.reason) for e in kept] == [
        ("old", "ABORTED", "stale"), ("old", "UNKNOWN", ""), ("old", "CANCELLED", ""), ("new", "OK", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("style", ["yields", "writes"])
def test_a_stream_ends_with_the_reason_when_its_key_does(style: str) -> None:
    good, got = [True], []

    async def yields(_request: Any, _context: Any) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(3600)

    async def writes(_request: Any, _context: Any) -> None:
        await asyncio.sleep(3600)

    async def story(context: Context) -> None:
        handler: Any = supervised(
            grpc.unary_stream_rpc_method_handler(yields if style == "yields" else writes),
            lambda: good[0],
        )
        asyncio.get_running_loop().call_later(0.1, good.__setitem__, 0, False)
        async with asyncio.timeout(3):
            async for item in handler.unary_stream(None, context):
                got.append(item)

    context = Context()
    with pytest.raises(Aborted):
        asyncio.run(story(context))
    assert context.said == (grpc.StatusCode.UNAUTHENTICATED, ENDED)
    assert got == ([1] if style == "yields" else [])


def test_a_refusal_says_when_to_come_back_in_the_way_exporters_read() -> None:
    context = Context()
    with pytest.raises(Aborted):
        call(refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "x" * 200, False, 1.5), b"", context)

    code, message, ((name, details),) = context.said
    assert (code, message, name) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "x" * 200, "grpc-status-details-bin")
    assert details.startswith(b"\x08\x08\x12\xc8\x01" + b"x" * 200)
    assert details.endswith(b"\x08\x01\x10\x80\xca\xb5\xee\x01")  # Duration of 1 s and 500,000,000 ns
