"""The webhook doors: `/webhooks/<provider>`, the tenant found from the headers, and `/webhooks/<tenant>/<provider>`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import Counter
from starlette.routing import BaseRoute

from libs.access.denied import STATUSES, AccessDenied
from libs.access.http import Exempt, Gate, exempt, guard, needs
from libs.access.identity import Identity, Requirement, Role, Scope, current_identity
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import InvalidInput, Unavailable
from libs.runtime.bodies import BODY_SECONDS, CLOSE, BodyProblem, BodyRefused, read_body
from services.deploy_normalizer.domain.signature import Verdict
from services.deploy_normalizer.handlers.answers import Answer, NotAuthentic, Outcome

log = structlog.get_logger()

MAX_BODY_BYTES = 5 * 1024 * 1024
ANSWER_SECONDS = 8.0  # GitHub gives up after ten
AUTHORIZATION_IS_THEIRS = frozenset({"argocd"})  # the provider's token is in that header, not an API key
DELIVERY_IDS = ("x-github-delivery", "webhook-id", "idempotency-key")

WEBHOOKS = Counter(
    "incidentscope_deploy_normalizer_webhooks", "Webhooks received", ["provider", "outcome", "reason"]
)  # fmt: skip

_PROBLEMS = {  # the reasons told, also as metric labels
    BodyProblem.TOO_LARGE: "body_too_large",
    BodyProblem.TOO_SLOW: "body_too_slow",
    BodyProblem.INCOMPLETE: "incomplete_body",
}
_STATUS: Mapping[str, int] = {
    **{reason: statuses.http for reason, statuses in STATUSES.items()},
    "unknown_tenant": 404,
    "unsupported_content_type": 415,
    "body_too_large": 413,
    "body_too_slow": 408,
    "missing_field": 422,
    "bad_field": 422,
    "unavailable": 503,
    Verdict.NOT_CONFIGURED: 503,
    Verdict.MISSING: 401,
    Verdict.MALFORMED: 401,
    Verdict.MISMATCH: 401,
    Verdict.EXPIRED: 401,
}


class Webhook(Protocol):
    """What is behind a door."""

    async def receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Act on a delivery, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        ...


def webhook_app(webhooks: Mapping[str, Webhook], tenants: TenantRegistry, routes: list[BaseRoute]) -> FastAPI:
    """Return the app: both doors of each provider, and the given routes."""
    app = FastAPI(title="IncidentScope deploy normalizer", openapi_url=None, routes=routes)
    doors = {provider: _Door(provider, webhook, tenants) for provider, webhook in webhooks.items()}
    for provider, door in doors.items():
        app.add_api_route(f"/webhooks/{provider}", door.of_headers, methods=["POST"])
        app.add_api_route(f"/webhooks/{{tenant}}/{provider}", door.of_path, methods=["POST"])

    def admit(request: Request, asked: Requirement) -> Identity:
        theirs = provider_of(request) in AUTHORIZATION_IS_THEIRS
        headers = {k: v for k, v in request.headers.items() if k != "authorization" or not theirs}
        return tenants.admit(headers, asked)

    def refuse(request: Request, denied: AccessDenied) -> JSONResponse:
        return doors[provider_of(request)].refuse(request, denied)

    guard(app.router.routes, Gate(admit, refuse))
    return app


def provider_of(request: Request) -> str:
    """Return the provider whose door a request stands at."""
    return request.url.path.rpartition("/")[2]


class _Door:
    """One provider's entrance: finds the tenant, bounds the body, and turns whatever happens into an answer."""

    def __init__(self, provider: str, webhook: Webhook, tenants: TenantRegistry) -> None:
        self._provider = provider
        self._webhook = webhook
        self._tenants = tenants

    def refuse(self, request: Request, denied: AccessDenied) -> JSONResponse:
        """Answer a caller who may not come in."""
        return self._reply(request, "", Answer(Outcome.REFUSED, denied.reason, str(denied)))

    @needs(Role.SERVICE, Scope.DEPLOYS_WRITE)
    async def of_headers(self, request: Request) -> JSONResponse:
        """Take a webhook whose tenant follows from its API key, or is the anonymous one."""
        return await self._take(request, current_identity().tenant)

    @exempt(Exempt.SIGNED)
    async def of_path(self, request: Request, tenant: str) -> JSONResponse:
        """Take a webhook whose tenant is in the path."""
        return await self._take(request, tenant)

    async def _take(self, request: Request, tenant: str) -> JSONResponse:
        try:
            body = await _bounded_body(request)
            if not self._tenants.known(tenant):
                raise AccessDenied("unknown_tenant", f"no tenant is called {tenant[:64]!r}")
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._webhook.receive(tenant, dict(request.headers), body)
        except (InvalidInput, AccessDenied) as exc:
            answer = Answer(Outcome.REFUSED, exc.reason, str(exc))
        except NotAuthentic as exc:
            answer = Answer(Outcome.REFUSED, exc.verdict.value, str(exc))
        except (Unavailable, TimeoutError) as exc:
            log.error("webhook_not_kept", provider=self._provider, tenant=tenant[:64], error=repr(exc))
            answer = Answer(Outcome.REFUSED, "unavailable", "the store does not answer now; send this again later")
        return self._reply(request, tenant, answer)

    def _reply(self, request: Request, tenant: str, answer: Answer) -> JSONResponse:
        WEBHOOKS.labels(self._provider, answer.outcome, answer.reason).inc()
        log.info(
            "webhook", provider=self._provider, tenant=tenant[:64], outcome=answer.outcome, reason=answer.reason,
            deploy_id=answer.deploy_id, message=answer.message,
            delivery=next((request.headers[name][:128] for name in DELIVERY_IDS if name in request.headers), ""),
        )  # fmt: skip
        content = {"outcome": answer.outcome, "reason": answer.reason, "message": answer.message}
        if answer.deploy_id:
            content["deploy_id"] = answer.deploy_id
        status = status_of(answer)
        return JSONResponse(content, status, CLOSE if status in (408, 413) else None)


def status_of(answer: Answer) -> int:
    """Return the HTTP status of an answer."""
    match answer.outcome:
        case Outcome.ACCEPTED:
            return 200
        case Outcome.IGNORED:
            return 202
        case Outcome.REFUSED:
            return _STATUS.get(answer.reason, 400)


async def _bounded_body(request: Request) -> bytes:
    try:
        return await read_body(request, MAX_BODY_BYTES, BODY_SECONDS)
    except BodyRefused as exc:
        raise InvalidInput(_PROBLEMS[exc.problem], str(exc)) from exc
