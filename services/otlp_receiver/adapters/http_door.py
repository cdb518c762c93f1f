"""OTLP/HTTP. https://opentelemetry.io/docs/specs/otlp/#otlphttp"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from libs.access.denied import AccessDenied
from libs.access.http import Gate, guard, needs
from libs.access.identity import Identity, Requirement, Role, Scope, current_identity
from libs.access.tenants import TenantRegistry
from libs.otlp.native import encode_string, varint
from libs.runtime.bodies import CLOSE, BodyProblem, BodyRefused, read_body
from services.otlp_receiver.adapters.bodies import ENCODINGS, decompress
from services.otlp_receiver.domain import (
    BEACON,
    Encoding,
    ExportRefused,
    Outcome,
    Reason,
    Signal,
    bare,
    media_type,
    not_otlp,
)
from services.otlp_receiver.handlers import Receiver
from services.otlp_receiver.origins import NO_ORIGINS, Origins

RETRY_AFTER_S: Final = 1
PREFLIGHT_S: Final = 7200  # for which a browser keeps what it may send; none keeps it longer
EXTRA_HEADERS: Final[dict[Reason, dict[str, str]]] = {
    Reason.UNAUTHENTICATED: {"www-authenticate": "Bearer"},
    Reason.UNAVAILABLE: {"retry-after": str(RETRY_AFTER_S)},
    Reason.CONTENT_ENCODING: {"accept-encoding": ", ".join(ENCODINGS)},
    Reason.TOO_LARGE: CLOSE,
    Reason.TOO_SLOW: CLOSE,
}
PROBLEMS: Final = {
    BodyProblem.TOO_LARGE: Reason.TOO_LARGE,
    BodyProblem.TOO_SLOW: Reason.TOO_SLOW,
    BodyProblem.INCOMPLETE: Reason.UNDECODABLE,
}
SMALL: Final = 64 * 1024  # bytes that are decompressed in a few milliseconds at most, as is what they may become
DENIALS: Final = {401: Reason.UNAUTHENTICATED, 403: Reason.FORBIDDEN, 429: Reason.TOO_OFTEN, 503: Reason.UNAVAILABLE}
ALL_WELL: Final = {Encoding.PROTOBUF: b"", Encoding.JSON: b"{}"}  # Export*ServiceResponse without partial_success


class HttpDoor:
    """The three paths. Bodies are bounded in bytes as received and as decompressed.

    Pages of the given origins may send from browsers: preflights are answered, and so is what `sendBeacon` sends.
    """

    def __init__(
        self,
        receiver: Receiver,
        tenants: TenantRegistry,
        max_body: int,
        max_decoded: int,
        origins: Origins = NO_ORIGINS,
    ) -> None:
        self._receiver = receiver
        self._tenants = tenants
        self._max_body = max_body
        self._max_decoded = max_decoded
        self._origins = origins

    def app(self, routes: list[Route]) -> Starlette:
        """Return the application: /v1/logs, /v1/metrics, /v1/traces and the given routes."""
        own: list[BaseRoute] = [Route(f"/v1/{s}", self._endpoint, methods=["POST"], name=s) for s in Signal]
        app = Starlette(
            routes=[*own, *routes], exception_handlers={HTTPException: _no_such_thing}, middleware=[self._sharing()]
        )
        guard(app.routes, Gate(self._admit, self._refuse))
        return app

    def _sharing(self) -> Middleware:
        """Return what answers browsers. Beacons bring cookies along, and are not sent where those may not come."""
        return Middleware(
            CORSMiddleware, allow_origin_regex=f"(?i:{self._origins.pattern})", allow_methods=["POST"],
            allow_headers=["*"], allow_credentials=True, allow_private_network=True, expose_headers=["Retry-After"],
            max_age=PREFLIGHT_S,
        )  # fmt: skip

    def _admit(self, request: Request, asked: Requirement) -> Identity:
        return self._tenants.admit(request.headers, asked)

    def _refuse(self, request: Request, denied: AccessDenied) -> Response:
        reason = DENIALS[denied.statuses.http]
        try:
            encoding = media_type(request.headers.get("content-type", ""))
        except ExportRefused:
            encoding = Encoding.JSON
        self._receiver.count(_signal(request), "http", reason)
        refused = ExportRefused(reason, f"{denied.reason}: {denied}")
        answer = _refusal(refused, encoding)
        answer.headers.update(denied.headers)
        return answer

    @needs(Role.SERVICE, Scope.TELEMETRY_WRITE)
    async def _endpoint(self, request: Request) -> Response:
        signal = _signal(request)
        encoding = Encoding.JSON
        ended: Outcome | Reason
        try:
            encoding = media_type(request.headers.get("content-type", ""))
            self._check_page(request)
            body = await self._body(request)
            if _is_beacon(request) and not body.lstrip().startswith(b"{"):
                raise not_otlp(BEACON)
            ended = await self._receiver.receive(signal, current_identity().tenant, encoding, body)
            response = Response(ALL_WELL[encoding], media_type=encoding)
        except ExportRefused as refused:
            ended, response = refused.reason, _refusal(refused, encoding)
        self._receiver.count(signal, "http", ended)
        return response

    def _check_page(self, request: Request) -> None:
        """Refuse what any page in the world can send here unasked, unless its origin is allowed."""
        origin = request.headers.get("origin", "")
        if origin and _is_beacon(request) and not self._origins.admit(origin):
            why = f"OTLP_ALLOWED_ORIGINS does not name {origin[:200]!r}, so its pages may not send {BEACON}"
            raise ExportRefused(Reason.ORIGIN, why)

    async def _body(self, request: Request) -> bytes:
        try:
            raw = await read_body(request, self._max_body)
        except BodyRefused as refused:
            raise ExportRefused(PROBLEMS[refused.problem], f"{refused}; send smaller batches") from refused
        packing = request.headers.get("content-encoding", "")
        if not packing or len(raw) <= SMALL:
            return decompress(raw, packing, self._max_decoded)
        return await asyncio.to_thread(decompress, raw, packing, self._max_decoded)


def _is_beacon(request: Request) -> bool:
    return bare(request.headers.get("content-type", "")) == BEACON


def _signal(request: Request) -> Signal:
    return Signal(request.url.path.rpartition("/")[2])


def _refusal(refused: ExportRefused, encoding: Encoding) -> Response:
    return Response(
        status_body(refused.status.grpc, str(refused), encoding),
        status_code=refused.status.http,
        media_type=encoding,
        headers=EXTRA_HEADERS.get(refused.reason),
    )


def status_body(code: int, message: str, encoding: Encoding) -> bytes:
    """Return a google.rpc.Status (code = 1, message = 2) in the sender's encoding."""
    if encoding is Encoding.JSON:
        return json.dumps({"code": code, "message": message}).encode()
    return b"\x08" + varint(code) + b"\x12" + encode_string(message)


async def _no_such_thing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    hint = "use POST" if status == 405 else "the paths are /v1/logs, /v1/metrics and /v1/traces"
    message = f"{request.method} {request.url.path}: {hint}"
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return Response(status_body(12, message, Encoding.JSON), status, headers, media_type=Encoding.JSON)
