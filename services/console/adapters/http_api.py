"""REST under /api/v1: the incident service's contract in protobuf's JSON mapping."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import APIRouter
from google.protobuf import json_format
from google.protobuf.message import Message
from incidentscope.incident.v1 import incident_service_pb2 as contract
from incidentscope.incident.v1.incident_pb2 import IncidentStatus
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from libs.access.http import needs
from libs.access.identity import Role, Scope, current_identity
from libs.kernel.errors import InvalidInput
from services.console.adapters.http_schema import PROBLEM, Schema, answers, body_of, schemas
from services.console.adapters.http_security import WriteCheck, check_write
from services.console.handlers.incidents import checked_id
from services.console.ports import Incidents

M = TypeVar("M", bound=Message)
_FAILS = {
    400: "The request is malformed.",
    401: "No valid API key.",
    403: "Not allowed.",
    421: "The console does not answer to this host name.",
    429: "Too many requests.",
    502: "The incident service failed.",
    503: "The incident service does not answer.",
}
_ONE = _FAILS | {404: "There is no such incident."}
_WRITE = _FAILS | {413: "The body is too large.", 415: "The body is not JSON."}
_MOVE = _WRITE | _ONE | {409: "The incident's state or version forbids it."}


@dataclass(frozen=True, slots=True)
class Api:
    """The REST operations."""

    incidents: Incidents

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def list(self, request: Request) -> Response:
        """List incidents, newest first."""
        query = _query(request, contract.ListIncidentsRequest(), "statuses")
        return _json(await self.incidents.list(self._tenant(request), query))

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def open(self, request: Request) -> Response:
        """Open an incident by hand."""
        body = await _body(request, contract.OpenIncidentRequest())
        return _json(await self.incidents.open(self._tenant(request), body), HTTPStatus.CREATED)

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def get(self, request: Request, incident_id: str) -> Response:
        """Return one incident."""
        asked = contract.GetIncidentRequest(id=checked_id(incident_id))
        return _json(await self.incidents.get(self._tenant(request), asked))

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def acknowledge(self, request: Request, incident_id: str) -> Response:
        """Take an incident."""
        body = await _body(request, contract.AcknowledgeIncidentRequest(), checked_id(incident_id))
        return _json(await self.incidents.acknowledge(self._tenant(request), body))

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def resolve(self, request: Request, incident_id: str) -> Response:
        """End an incident."""
        body = await _body(request, contract.ResolveIncidentRequest(), checked_id(incident_id))
        return _json(await self.incidents.resolve(self._tenant(request), body))

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def add_note(self, request: Request, incident_id: str) -> Response:
        """Write a note on the timeline."""
        body = await _body(request, contract.AddNoteRequest(), checked_id(incident_id))
        return _json(await self.incidents.add_note(self._tenant(request), body), HTTPStatus.CREATED)

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def timeline(self, request: Request, incident_id: str) -> Response:
        """List the timeline, oldest first."""
        query = _query(request, contract.ListTimelineRequest(id=checked_id(incident_id)))
        return _json(await self.incidents.timeline(self._tenant(request), query))

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def hypotheses(self, request: Request, incident_id: str) -> Response:
        """Return the latest analysis of likely causes; 404 before the first."""
        asked = contract.GetHypothesesRequest(id=checked_id(incident_id))
        return _json(await self.incidents.hypotheses(self._tenant(request), asked))

    def _tenant(self, _request: Request) -> str:
        return current_identity().tenant


Operation = Callable[..., Awaitable[Response]]


def build(incidents: Incidents) -> APIRouter:
    """Return the routes of the REST interface."""
    api, router = Api(incidents), APIRouter(prefix="/api/v1", tags=["incidents"])
    one = "/incidents/{incident_id}"
    paging = [
        _parameter("pageSize", {"type": "integer", "format": "int32"}),
        _parameter("pageToken", {"type": "string"}),
    ]
    _add(router, "GET", "/incidents", api.list, contract.ListIncidentsResponse, _FAILS, [_statuses(), *paging])
    _add(
        router, "POST", "/incidents", api.open, contract.OpenIncidentResponse, _WRITE, body=contract.OpenIncidentRequest
    )
    _add(router, "GET", one, api.get, contract.GetIncidentResponse, _ONE)
    for action, operation, request, response in (
        (":acknowledge", api.acknowledge, contract.AcknowledgeIncidentRequest, contract.AcknowledgeIncidentResponse),
        (":resolve", api.resolve, contract.ResolveIncidentRequest, contract.ResolveIncidentResponse),
        ("/notes", api.add_note, contract.AddNoteRequest, contract.AddNoteResponse),
    ):
        _add(router, "POST", one + action, operation, response, _MOVE, body=request)
    _add(router, "GET", f"{one}/timeline", api.timeline, contract.ListTimelineResponse, _ONE, paging)
    _add(router, "GET", f"{one}/hypotheses", api.hypotheses, contract.GetHypothesesResponse, _ONE)
    return router


def components() -> dict[str, Schema]:
    """Return the schemas the OpenAPI document refers to."""
    messages = [m for n, m in vars(contract).items() if n.endswith(("Request", "Response"))]
    return {"Problem": PROBLEM, **schemas(*(m.DESCRIPTOR for m in messages))}


def _add(
    router: APIRouter,
    method: str,
    path: str,
    operation: Operation,
    response: type[Message],
    problems: dict[int, str],
    parameters: list[Schema] | None = None,
    body: type[Message] | None = None,
) -> None:
    summary = (operation.__doc__ or "").split(".")[0]
    created = method == "POST" and ":" not in path.rpartition("/")[2]
    documented = answers(response, summary, problems)
    extra: dict[str, Any] = body_of(body, "id" if "{" in path else "") if body else {}
    if parameters:
        extra["parameters"] = parameters
    router.add_api_route(
        path,
        operation,
        methods=[method],
        summary=summary,
        operation_id=response.DESCRIPTOR.name.removesuffix("Response"),
        status_code=HTTPStatus.CREATED if created else HTTPStatus.OK,
        responses={201 if code == 200 and created else code: answer for code, answer in documented.items()},
        openapi_extra=extra or None,
        response_class=Response,
        response_model=None,
    )


def _parameter(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _statuses() -> Schema:
    items = {"type": "string", "enum": IncidentStatus.keys()}
    return _parameter("statuses", {"type": "array", "items": items})


def _json(message: Message, status: HTTPStatus = HTTPStatus.OK) -> Response:
    text = json_format.MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)
    return Response(text, status, media_type="application/json")


def _query(request: Request, message: M, *repeated: str) -> M:
    """Read a message from the query, field by field; raises InvalidInput for what the message does not have."""
    given = request.query_params
    fields: dict[str, Any] = {name: given.getlist(name) if name in repeated else given[name] for name in given}
    if "id" in fields:
        raise InvalidInput("bad_request", "The id comes from the path.")
    try:
        return json_format.ParseDict(fields, message)
    except json_format.ParseError as exc:
        raise InvalidInput("bad_request", f"The query is not understood: {exc}") from exc


async def _body(request: Request, message: M, incident_id: str = "") -> M:
    """Read a message from a JSON body; raises InvalidInput, or HTTPException 403 or 415."""
    if check_write(dict(request.headers), browser_form=False) is WriteCheck.CROSS_SITE:
        raise HTTPException(403, "Pages of other sites may not write here.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send the body as application/json.")
    body = await request.body()
    if not body.lstrip().startswith(b"{"):
        raise InvalidInput("bad_request", "The body must be a JSON object.")
    try:
        json_format.Parse(body, message)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidInput("bad_request", f"The body is not understood: {exc}") from exc
    return _addressed(message, incident_id)


def _addressed(message: M, incident_id: str) -> M:
    if incident_id:
        named = getattr(message, "id", "")
        if named not in ("", incident_id):
            raise InvalidInput("bad_request", "The body names another incident than the path.")
        message.id = incident_id  # type: ignore[attr-defined]  # every message with a path id has the field
    return message
