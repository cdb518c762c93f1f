"""The gRPC door every service uses: health, reflection, and who may call what."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from libs.access.audit import AuditLog, Entry
from libs.access.denied import AccessDenied
from libs.access.identity import CALLER, Identity, Requirement, current_identity
from libs.access.rpc import Rpc, requirements
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import IncidentScopeError
from libs.runtime.grpc_calls import audited, refusal, stamped, supervised
from libs.runtime.grpc_front import Front
from libs.runtime.lifecycle import Lifecycle

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
STAYING = {  # who is gone without a word is found out, and one caller does not hold what a thousand could use
    "grpc.keepalive_time_ms": 60_000,
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.http2.min_ping_interval_without_data_ms": 10_000,  # clients that ping a little often are not cut off
    "grpc.max_concurrent_streams": 1000,
}
OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")
if TYPE_CHECKING:  # generic only in the stubs
    Handler = grpc.RpcMethodHandler[Any, Any]
    Interceptor = grpc.aio.ServerInterceptor[Any, Any]
else:
    Handler = grpc.RpcMethodHandler
    Interceptor = grpc.aio.ServerInterceptor


def current_tenant() -> str:
    """Return the tenant of the call being handled; raises LookupError outside one."""
    return current_identity().tenant


class AccessInterceptor(Interceptor):
    """Lets a caller through to what it may do; others hear the status and the reason.

    What names its caller in a field `actor` gets the caller's own name there; what writes, and what is refused for
    want of a right, is put on record; a stream ends when its caller's key does.
    """

    def __init__(self, tenants: TenantRegistry, rpcs: Mapping[str, Rpc], record: Callable[[Entry], None]) -> None:
        self._tenants = tenants
        self._rpcs = rpcs
        self._record = record

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler, or one that refuses the call."""
        if details.method.startswith(OPEN_PREFIXES):
            return await continuation(details)
        handler: Handler | None = await continuation(details)
        if handler is None:  # there is no such method
            return handler  # type: ignore[return-value]  # grpc then answers UNIMPLEMENTED; the stubs do not say so
        rpc = self._rpcs.get(details.method)
        if rpc is None:
            return refusal(grpc.StatusCode.PERMISSION_DENIED, f"{details.method} declares no requirement", False)
        try:
            caller = self._admit(text_metadata(details.invocation_metadata), rpc)
        except AccessDenied as denied:
            code = grpc.StatusCode[denied.statuses.grpc]
            return refusal(code, f"{denied.reason}: {denied}", rpc.client_streams, denied.retry_after)
        CALLER.set(caller)
        return self._wrapped(handler, rpc, caller)

    def _admit(self, headers: dict[str, str], rpc: Rpc) -> Identity:
        try:
            return self._tenants.admit(headers, rpc.asked)
        except AccessDenied as denied:
            if denied.statuses.grpc == "PERMISSION_DENIED":
                caller = self._tenants.identify(headers)
                self._record(Entry(caller, rpc.path, denied.statuses.grpc, reason=denied.reason))
            raise

    def _wrapped(self, handler: Handler, rpc: Rpc, caller: Identity) -> Handler:
        if handler.unary_stream:
            return supervised(handler, lambda: self._tenants.holds(caller))
        if handler.unary_unary and caller.actor:
            handler = stamped(handler, caller.actor)
        if handler.unary_unary and rpc.asked.scope.writes and not rpc.is_ingest:
            handler = audited(handler, rpc.path, caller, self._record)
        return handler


def text_metadata(metadata: Any) -> dict[str, str]:
    """Return the text entries of call metadata, names in lower case."""
    return {key.lower(): value for key, value in metadata or () if isinstance(value, str)}


async def serve_grpc(
    lifecycle: Lifecycle,
    port: int,
    tenants: TenantRegistry,
    add: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    options: Sequence[tuple[str, Any]] = (),
    given: Mapping[str, Requirement] | None = None,
    tell_compressions: bool = False,
) -> int:
    """Serve gRPC on the settings' host and return the port; `add` registers the servicers.

    `given` says, by service, what those ask whose contracts are not ours. Raises RpcUnguarded for an rpc that does
    not declare who may call it. With `tell_compressions` clients that compress in a way that is not known hear so.
    """
    rpcs = requirements(service_names, given or {})
    defaults = {"grpc.max_receive_message_length": MAX_MESSAGE_BYTES, "grpc.so_reuseport": 0, **STAYING}
    interceptor = AccessInterceptor(tenants, rpcs, _records(lifecycle, rpcs))
    server = grpc.aio.server(interceptors=[interceptor], options=list((defaults | dict(options)).items()))
    add(server)
    checker = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    listen = _listen_behind_front if tell_compressions else _listen
    bound = await listen(lifecycle, server, port)
    for name in ("", *service_names):
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    return bound


async def _listen(lifecycle: Lifecycle, server: grpc.aio.Server, port: int) -> int:
    address = f"{lifecycle.settings.host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as exc:
        raise IncidentScopeError(f"cannot listen on {address} for gRPC; choose another port") from exc
    await server.start()
    lifecycle.push(lambda: server.stop(grace=5), f"grpc:{bound}")
    return int(bound)


async def _listen_behind_front(lifecycle: Lifecycle, server: grpc.aio.Server, port: int) -> int:
    host = lifecycle.settings.host
    folder = Path(tempfile.mkdtemp(prefix="grpc-"))
    lifecycle.push(lambda: shutil.rmtree(folder, ignore_errors=True), "grpc-socket")
    server.add_insecure_port(f"unix:{folder / 'server'}")
    front = Front(str(folder / "server"))
    await server.start()
    lifecycle.push(front.close, "grpc-front")
    lifecycle.push(lambda: server.stop(grace=5), "grpc")
    try:
        bound = await front.listen(host, port)
    except OSError as exc:
        raise IncidentScopeError(f"cannot listen on {host}:{port} for gRPC; choose another port") from exc
    lifecycle.push(front.take_no_more, f"grpc-front:{bound}")
    return bound


def _records(lifecycle: Lifecycle, rpcs: Mapping[str, Rpc]) -> Callable[[Entry], None]:
    """Return what puts entries on record; doors for telemetry alone have nothing to record."""
    if all(rpc.is_ingest for rpc in rpcs.values()):
        return lambda _entry: None
    audit = AuditLog(lifecycle.settings.postgres_url, lifecycle.service)
    lifecycle.background("audit", audit.run)
    return audit.record
