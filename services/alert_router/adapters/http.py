"""The doors over HTTP: Alertmanager's webhook, and pushes as to Alertmanager itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import Counter
from starlette.routing import BaseRoute

from libs.access.denied import AccessDenied
from libs.access.http import Gate, guard, needs
from libs.access.identity import Identity, Requirement, Role, Scope, current_identity
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import InvalidInput
from libs.messaging.ports import DeliveryFailed
from libs.runtime.bodies import CLOSE, BodyProblem, BodyRefused, read_body
from services.alert_router.decode.json_body import Batch, Rejected
from services.alert_router.decode.push import decode_push
from services.alert_router.decode.webhook import decode_webhook
from services.alert_router.domain.arrival import Door
from services.alert_router.handlers import Decode, ReceiveAlerts

log = structlog.get_logger()
_PROBLEMS = {  # metric labels
    BodyProblem.TOO_LARGE: "body_too_large",
    BodyProblem.TOO_SLOW: "body_timeout",
    BodyProblem.INCOMPLETE: "body_incomplete",
}
WEBHOOK, PUSH = "/webhooks/alertmanager", "/api/v2/alerts"
_DOORS = {WEBHOOK: "webhook", PUSH: "api_v2"}  # metric labels
MAX_NAMED = 20  # rejected alerts spelled out in an answer
REFUSED = Counter("incidentscope_alert_router_refused_total", "Requests refused, by reason", ["door", "reason"])


class Refusal(Exception):
    """A request that is answered with an error: HTTP status, a short stable reason, and a sentence."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Doors:
    """The two doors and what guards them."""

    receive: ReceiveAlerts
    tenants: TenantRegistry
    webhook: Door
    push: Door
    max_body_bytes: int

    def admit(self, request: Request, asked: Requirement) -> Identity:
        """Return the caller; raises AccessDenied."""
        return self.tenants.admit(request.headers, asked)

    def refuse(self, request: Request, denied: AccessDenied) -> Response:
        """Answer a caller who may not come in."""
        REFUSED.labels(_DOORS.get(request.url.path, ""), denied.reason).inc()
        return _answer(Refusal(denied.statuses.http, denied.reason, str(denied)), as_text=False)

    @needs(Role.SERVICE, Scope.ALERTS_WRITE)
    async def post_webhook(self, request: Request) -> Response:
        """Take a notification of Alertmanager, payload version 4."""
        return await self._take(request, "webhook", decode_webhook, self.webhook)

    @needs(Role.SERVICE, Scope.ALERTS_WRITE)
    async def post_alerts(self, request: Request) -> Response:
        """Take a push as Alertmanager's API v2 does."""
        return await self._take(request, "api_v2", decode_push, self.push)

    async def _take(self, request: Request, name: str, decode: Decode, door: Door) -> Response:
        try:
            tenant = current_identity().tenant
            _check_kind(request)
            body = await self._body(request)
            batch = await self._receive(tenant, body, decode, door)
            _complain(tenant, name, batch)
        except Refusal as refusal:
            REFUSED.labels(name, refusal.reason).inc()
            return _answer(refusal, as_text=name == "api_v2" and refusal.status == 400)
        return Response(status_code=200)

    async def _body(self, request: Request) -> bytes:
        try:
            return await read_body(request, self.max_body_bytes)
        except BodyRefused as exc:
            raise Refusal(exc.status, _PROBLEMS[exc.problem], str(exc)) from exc

    async def _receive(self, tenant: str, body: bytes, decode: Decode, door: Door) -> Batch:
        try:
            return await self.receive(tenant, body, decode, door)
        except InvalidInput as exc:
            raise Refusal(400, exc.reason, str(exc)) from exc
        except DeliveryFailed as exc:
            log.warning("alerts_not_stored", tenant=tenant, error=str(exc))
            raise Refusal(503, "not_stored", "the alerts could not be stored now; send them again") from exc


def _check_kind(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "wrong_content_type", f"send application/json, not {kind[:64]!r}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "wrong_content_encoding", "send the body uncompressed")


def _complain(tenant: str, door: str, batch: Batch) -> None:
    """Refuse, as Alertmanager does, a request of which a part could not be used, though the rest was stored."""
    if not batch.rejected:
        return
    log.info("alerts_rejected", tenant=tenant, door=door, rejected=len(batch.rejected), stored=len(batch.alerts))
    total = len(batch.rejected) + len(batch.alerts)
    message = f"{len(batch.rejected)} of {total} alerts refused, the others stored: {_listed(batch.rejected)}"
    raise Refusal(400, batch.rejected[0].reason, message)


def _listed(rejected: Sequence[Rejected]) -> str:
    named = [f"[{r.index}] {r.reason}: {r.message}" for r in rejected[:MAX_NAMED]]
    return "; ".join(named) + ("; ..." if len(rejected) > MAX_NAMED else "")


def _answer(refusal: Refusal, as_text: bool) -> Response:
    """Say why; API v2 has its clients expect a 400 to carry one JSON string."""
    headers = dict(CLOSE) if refusal.status in (408, 413) else {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refusal.status in (429, 503):
        headers["Retry-After"] = "5"
    if as_text:
        return JSONResponse(f"{refusal.reason}: {refusal}", refusal.status)
    content = {"code": refusal.status, "reason": refusal.reason, "message": str(refusal)}
    return JSONResponse(content, refusal.status, headers)


def build(doors: Doors, health_routes: Sequence[BaseRoute]) -> FastAPI:
    """Return the app: both doors, and the health routes."""
    app = FastAPI(title="IncidentScope alert router", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(WEBHOOK, doors.post_webhook, methods=["POST"])
    app.add_api_route(PUSH, doors.post_alerts, methods=["POST"])
    app.router.routes.extend(health_routes)
    guard(app.router.routes, Gate(doors.admit, doors.refuse))
    return app
