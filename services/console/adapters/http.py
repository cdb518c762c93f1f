"""The whole HTTP interface: pages, REST, live events, static files, health, and one place for errors."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from libs.access.denied import AccessDenied
from libs.access.http import Exempt, Gate, exempt, guard
from libs.access.tenants import TenantRegistry
from libs.access.tokens import Signer
from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput, Unavailable
from libs.runtime.bodies import BodyRefused
from services.console.adapters import http_api, http_status
from services.console.adapters.http_forms import Kept, kept, page_of
from services.console.adapters.http_head import HeadLikeGet
from services.console.adapters.http_live import Events
from services.console.adapters.http_pages import PageRoutes
from services.console.adapters.http_problems import problem_of
from services.console.adapters.http_security import Guard
from services.console.adapters.http_session import Sessions, SignIn
from services.console.adapters.http_templates import STATIC, Pages
from services.console.domain.doors import Doors
from services.console.handlers.causes import CausePages
from services.console.handlers.elsewhere import Elsewhere
from services.console.handlers.incidents import IncidentPages
from services.console.handlers.live import LiveFeed
from services.console.handlers.response import Responding
from services.console.handlers.services import ServicePages
from services.console.ports import Deploys, Incidents, Refused, Telemetry

PROBLEMS = Counter("incidentscope_console_problems", "Requests that ended with a problem", ["status", "code"])
_HANDLED = (
    AccessDenied, InvalidInput, Refused, Unavailable, HTTPException, RequestValidationError, Exception,
)  # fmt: skip
OPENAPI = "/api/openapi.json"
KEYS_ONLY = frozenset({"/sign-in", "/sign-out"})
_DATA_PATHS = ("/api/", "/status/")
DESCRIPTION = "Incidents in protobuf's JSON mapping. Errors are RFC 9457 problem details with a stable `code`."


@exempt(Exempt.PUBLIC)
class _Static(StaticFiles):
    """Static files, which browsers must ask about again: they change with the release only."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a file."""
        response = super().file_response(*args, **kwargs)
        response.headers["cache-control"] = "no-cache"
        return response


def build(
    incidents: Incidents,
    deploys: Deploys,
    telemetry: Telemetry,
    feed: LiveFeed,
    tenants: TenantRegistry,
    clock: Clock,
    doors: Doors,
    health: Sequence[BaseRoute] = (),
    allowed_hosts: frozenset[str] = frozenset(),
    sessions: Sessions | None = None,
) -> Guard:
    """Return the ASGI application."""
    app = FastAPI(
        title="IncidentScope", version="1", description=DESCRIPTION,
        docs_url=None, redoc_url=None, openapi_url=OPENAPI,
    )  # fmt: skip
    responding, templates = Responding(incidents, clock), Pages(doors, tenants.choices)
    pages = PageRoutes(
        IncidentPages(incidents, deploys, telemetry, clock), ServicePages(incidents, deploys, telemetry, clock),
        responding, CausePages(incidents, clock), Elsewhere(incidents, tenants), templates,
    )  # fmt: skip
    sessions = sessions or Sessions(tenants, Signer(secrets.token_hex(32)))
    # not included: each is to stand behind the gate by itself
    app.router.routes += http_api.build(incidents, tenants).routes
    app.router.routes += http_status.build(responding, clock).routes
    app.router.routes += [*health, *pages.routes(), Route("/events", Events(feed, tenants).__call__, methods=["GET"])]
    app.router.routes += [*SignIn(sessions, templates).routes(), Mount("/static", _Static(directory=STATIC))]
    guard(app.router.routes, Gate(sessions.admit, public=frozenset({OPENAPI})))
    _answer_problems(app, pages)
    _describe(app)
    # Pages hold no secret beside what a visitor sends (forms are known by their origin, not by a token), so that sizes
    # of compressed answers tell nothing (BREACH). The event stream is never held back to be compressed.
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=5)
    app.add_middleware(HeadLikeGet)
    return Guard(app, allowed_hosts)


def _answer_problems(app: FastAPI, pages: PageRoutes) -> None:
    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        PROBLEMS.labels(str(problem.status.value), problem.code).inc()
        if problem.status.value >= 500:
            structlog.get_logger().warning("request_failed", path=request.url.path, code=problem.code, error=str(error))
        if request.url.path.startswith(_DATA_PATHS):
            return problem.response()
        return pages.problem(problem, page_of(request), await _kept(request, error))

    for kind in _HANDLED:
        app.add_exception_handler(kind, answer)


async def _kept(request: Request, error: Exception) -> Kept | None:
    if isinstance(error, BodyRefused) or request.url.path in KEYS_ONLY:
        return None  # there is no whole body, or it is a key
    return await kept(request)


def _describe(app: FastAPI) -> None:
    """Put the contract's schemas into the OpenAPI document, and take out FastAPI's own validation: it is not used."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        document["components"] = {"schemas": http_api.components() | http_status.components()}
        for operation in (o for path in document["paths"].values() for o in path.values()):
            operation["responses"].pop("422", None)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
