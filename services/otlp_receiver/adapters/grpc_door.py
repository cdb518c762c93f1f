"""OTLP/gRPC. Requests stay bytes: the generated stubs would decode them a second time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from libs.runtime.grpc_server import current_tenant
from services.otlp_receiver.adapters.responses import response_body
from services.otlp_receiver.domain import Encoding, ExportRefused, Signal
from services.otlp_receiver.handlers import Receiver

SERVICES: Final = {
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
}
CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Export = Callable[[bytes, Any], Awaitable[bytes]]


class GrpcDoor:
    """The three Export methods."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the three services on a server."""
        handlers = [
            grpc.method_handlers_generic_handler(
                name, {"Export": grpc.unary_unary_rpc_method_handler(self._export(signal))}
            )
            for signal, name in SERVICES.items()
        ]
        server.add_generic_rpc_handlers(tuple(handlers))

    def _export(self, signal: Signal) -> Export:
        async def export(body: bytes, context: Any) -> bytes:
            try:
                taken = await self._receiver.receive(signal, current_tenant(), Encoding.PROTOBUF, body)
            except ExportRefused as refused:
                self._receiver.count(signal, "grpc", refused.reason)
                await context.abort(CODES[refused.status.grpc], str(refused))
            self._receiver.count(signal, "grpc", taken.outcome)
            return response_body(taken.warning, Encoding.PROTOBUF)

        return export
