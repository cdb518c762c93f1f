"""The status page for machines: Statuspage's JSON and Atom, of the caller's tenant, public incidents only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from libs.access.http import needs
from libs.access.identity import Role, Scope, current_identity
from libs.kernel.clock import Clock
from services.console.adapters.http_problems import PROBLEM_TYPE
from services.console.adapters.http_schema import Schema
from services.console.domain.statuspage import StatusPage
from services.console.handlers.response import Responding

PREFIX = "/status"
ATOM_TYPE = "application/atom+xml"
_DOCUMENTS: tuple[tuple[str, str, Callable[[StatusPage], dict[str, Any]]], ...] = (
    ("/api/v2/summary.json", "Page, components, unresolved incidents and overall status", StatusPage.summary),
    ("/api/v2/status.json", "Overall status", StatusPage.status),
    ("/api/v2/components.json", "Services that public incidents have named", StatusPage.components),
    ("/api/v2/incidents.json", "The latest 50 incidents", StatusPage.history),
    ("/api/v2/incidents/unresolved.json", "Incidents that go on", StatusPage.going_on),
)
_FAILS = {
    400: "The request is malformed.",
    401: "No valid API key.",
    403: "Not allowed.",
    421: "The console does not answer to this host name.",
    429: "Too many requests.",
    502: "The incident service failed.",
    503: "The incident service does not answer.",
}


def build(responding: Responding, clock: Clock) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=PREFIX, tags=["status page"])

    async def page_of(request: Request) -> StatusPage:
        tenant = current_identity().tenant
        console = str(request.base_url).rstrip("/")
        return StatusPage(tenant, console + PREFIX, await responding.status_page(tenant), clock.now(), console)

    def document(shape: Callable[[StatusPage], dict[str, Any]]) -> Callable[[Request], Awaitable[Response]]:
        @needs(Role.VIEWER, Scope.INCIDENTS_READ)
        async def answer(request: Request) -> Response:
            return JSONResponse(shape(await page_of(request)))

        return answer

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def atom(request: Request) -> Response:
        return Response((await page_of(request)).atom(), media_type=ATOM_TYPE)

    for path, summary, shape in _DOCUMENTS:
        schema: Schema = {"application/json": {"schema": {"$ref": "#/components/schemas/StatusPage"}}}
        _add(router, path, summary, document(shape), schema)
    _add(
        router,
        "/history.atom",
        "The latest incidents as an Atom feed",
        atom,
        {ATOM_TYPE: {"schema": {"type": "string"}}},
    )
    return router


def components() -> dict[str, Schema]:
    """Return the schemas the OpenAPI document refers to."""
    page = {"type": "object", "required": ["id", "name", "url", "time_zone", "updated_at"]}
    lists = ("components", "incidents", "scheduled_maintenances")
    properties: Schema = {"page": page, "status": {"type": "object", "required": ["indicator", "description"]}}
    properties |= {name: {"type": "array", "items": {"type": "object"}} for name in lists}
    return {"StatusPage": {"type": "object", "required": ["page"], "properties": properties}}


def _add(
    router: APIRouter, path: str, summary: str, answer: Callable[[Request], Awaitable[Response]], content: Schema
) -> None:
    problem = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refused: dict[int | str, dict[str, Any]] = {c: {"description": d, "content": problem} for c, d in _FAILS.items()}
    router.add_api_route(
        path,
        answer,
        methods=["GET"],
        summary=summary,
        operation_id="status" + "".join(part.capitalize() for part in path.replace(".", "/").split("/")),
        responses={200: {"description": summary, "content": content}, **refused},
        response_class=Response,
        response_model=None,
    )
