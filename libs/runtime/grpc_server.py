"""The gRPC door every service uses: health, reflection, and the tenant of each call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from libs.access.tenants import AccessDenied, TenantRegistry
from libs.kernel.errors import IncidentScopeError
from libs.runtime.lifecycle import Lifecycle

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")
if TYPE_CHECKING:  # generic only in the stubs
    Handler = grpc.RpcMethodHandler[Any, Any]
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
    Interceptor = grpc.aio.ServerInterceptor

_tenant: ContextVar[str] = ContextVar("tenant")


def current_tenant() -> str:
    """Return the tenant of the call being handled; raises LookupError outside one."""
    return _tenant.get()


class TenantInterceptor(Interceptor):
    """Finds the tenant before a handler runs; a call without one ends with UNAUTHENTICATED and the reason."""

    def __init__(self, tenants: TenantRegistry) -> None:
        self._tenants = tenants

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler, or one that refuses the call."""
        if details.method.startswith(OPEN_PREFIXES):
            return await continuation(details)
        try:
            _tenant.set(self._tenants.resolve(text_metadata(details.invocation_metadata)))
        except AccessDenied as denied:
            return _refusal(f"{denied.reason}: {denied}")
        return await continuation(details)


def text_metadata(metadata: Any) -> dict[str, str]:
    """Return the text entries of call metadata, names in lower case."""
    return {key.lower(): value for key, value in metadata or () if isinstance(value, str)}


def _refusal(message: str) -> Handler:
    async def refuse(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, message)
        return b""

    return grpc.unary_unary_rpc_method_handler(refuse)


async def serve_grpc(
    lifecycle: Lifecycle,
    port: int,
    tenants: TenantRegistry,
    add: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    options: Sequence[tuple[str, Any]] = (),
) -> int:
    """Serve gRPC on the settings' host and return the port; `add` registers the servicers."""
    defaults = {"grpc.max_receive_message_length": MAX_MESSAGE_BYTES, "grpc.so_reuseport": 0}
    server = grpc.aio.server(
        interceptors=[TenantInterceptor(tenants)], options=list((defaults | dict(options)).items())
    )
    add(server)
    checker = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    address = f"{lifecycle.settings.host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as exc:
        raise IncidentScopeError(f"cannot listen on {address} for gRPC; choose another port") from exc
    await server.start()
    lifecycle.push(lambda: server.stop(grace=5), f"grpc:{bound}")
    for name in ("", *service_names):
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    return int(bound)
