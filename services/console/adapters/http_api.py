"""REST under /api/v1: the incident service's contract in protobuf's JSON mapping."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from google.protobuf.message import Message
from incidentscope.incident.v1 import incident_service_pb2 as contract
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from libs.access.http import needs
from libs.access.identity import Requirement, current_identity
from libs.access.rpc import declared
from libs.access.streams import while_good
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import InvalidInput
from services.console.adapters import http_json
from services.console.adapters.http_schema import (
    PROBLEM,
    Schema,
    answers,
    body_of,
    idempotency_key,
    parameters_of,
    schemas,
)
from services.console.adapters.http_watch import Watch
from services.console.handlers.checks import checked_id
from services.console.ports import Incidents

ONE = "/incidents/{incident_id}"
KEY_CHARS = 255
_FIELDS = {"incident_id": "id", "task_id": "task_id"}  # of the request, by parameter of the path
_FAILS = {
    400: "The request is malformed.",
    401: "No valid API key.",
    403: "Not allowed.",
    421: "The console does not answer to this host name.",
    429: "Too many requests.",
    502: "The incident service failed.",
    503: "The incident service does not answer.",
}
_GONE = {404: "There is no such incident, or not this part of it yet."}
_WRITE = {413: "The body is too large.", 415: "The body is not JSON."}
_CONFLICT = {409: "The incident's state or version forbids it."}
Operation = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Spec:
    """One route: its method, its path under /api/v1, the rpc behind it, and what it does in a few words."""

    method: str
    path: str
    rpc: str
    summary: str
    name: str = ""

    @property
    def request(self) -> type[Message]:
        """Return the rpc's request message."""
        made: type[Message] = getattr(contract, f"{self.rpc}Request")
        return made

    @property
    def response(self) -> type[Message]:
        """Return the rpc's response message."""
        made: type[Message] = getattr(contract, f"{self.rpc}Response")
        return made

    @property
    def requires(self) -> Requirement:
        """Return what the rpc asks of its caller, and so the route too."""
        return declared(contract.DESCRIPTOR.services_by_name["IncidentService"].methods_by_name[self.rpc])

    @property
    def created(self) -> bool:
        """Tell whether it makes something, so that its answer is 201."""
        return self.method == "POST" and ":" not in self.path.rpartition("/")[2]

    @property
    def writes(self) -> bool:
        """Tell whether it takes a body."""
        return self.method != "GET"

    @property
    def problems(self) -> dict[int, str]:
        """Return the problems it can end with, by status."""
        changes = _WRITE | (_CONFLICT if self.path != "/incidents" else {}) if self.writes else {}
        return _FAILS | changes | (_GONE if "{" in self.path or self.rpc == "ListTasks" else {})


SPECS = (
    Spec(
        "GET",
        "/incidents",
        "ListIncidents",
        "List incidents that match every filter, newest first",
    ),
    Spec("POST", "/incidents", "OpenIncident", "Open an incident by hand"),
    Spec("GET", ONE, "GetIncident", "Return one incident"),
    Spec("PATCH", ONE, "UpdateIncident", "Change the fields that updateMask names"),
    Spec("POST", f"{ONE}:acknowledge", "AcknowledgeIncident", "Take an incident"),
    Spec("POST", f"{ONE}:mitigate", "MitigateIncident", "Record that users are well again"),
    Spec("POST", f"{ONE}:resolve", "ResolveIncident", "End an incident"),
    Spec("POST", f"{ONE}:close", "CloseIncident", "Put a resolved incident away"),
    Spec("POST", f"{ONE}:reopen", "ReopenIncident", "Go on with an incident that seemed over"),
    Spec("POST", f"{ONE}:merge", "MergeIncident", "Close an incident that is part of another"),
    Spec("GET", f"{ONE}/roles", "ListRoleAssignments", "List who had which role, oldest first"),
    Spec("POST", f"{ONE}/roles", "AssignRole", "Give a role to a person, or take it back"),
    Spec("GET", f"{ONE}/timeline", "ListTimeline", "List the timeline, oldest first"),
    Spec("POST", f"{ONE}/notes", "AddNote", "Write a note on the timeline"),
    Spec("POST", f"{ONE}/entries", "RecordEntry", "Write on the timeline what a machine did"),
    Spec("GET", f"{ONE}/hypotheses", "GetHypotheses", "Return an analysis of likely causes, the latest by default"),
    Spec("GET", f"{ONE}/hypotheses/versions", "ListHypothesisVersions", "List the analyses published, newest first"),
    Spec("GET", f"{ONE}/hypotheses/feedback", "ListHypothesisFeedback", "List what people found, newest first"),
    Spec(
        "POST",
        f"{ONE}/hypotheses/feedback",
        "GiveHypothesisFeedback",
        "Judge a hypothesis or name the real cause",
    ),
    Spec("GET", f"{ONE}/similar", "ListSimilarIncidents", "List past incidents that resemble it, with their outcome"),
    Spec("GET", "/hypotheses/calibration", "GetHypothesisCalibration", "Return how often hypotheses were the cause"),
    Spec("GET", f"{ONE}/alerts", "ListIncidentAlerts", "List the alerts in their own words, what goes on first"),
    Spec("GET", f"{ONE}/links", "ListLinks", "List the links, oldest first"),
    Spec("POST", f"{ONE}/links", "AddLink", "Add a link"),
    Spec("GET", f"{ONE}/tasks", "ListTasks", "List an incident's tasks, oldest first", "ListIncidentTasks"),
    Spec("POST", f"{ONE}/tasks", "CreateTask", "Make a task or an action item"),
    Spec("PATCH", f"{ONE}/tasks/{{task_id}}", "UpdateTask", "Change the fields of a task that updateMask names"),
    Spec("GET", "/tasks", "ListTasks", "List tasks of all incidents, oldest first"),
    Spec("GET", f"{ONE}/updates", "ListStatusUpdates", "List what people outside were told, newest first"),
    Spec("POST", f"{ONE}/updates", "PostStatusUpdate", "Record what people outside are told"),
    Spec("POST", f"{ONE}:render", "RenderMessage", "Render a message; changes nothing"),
    Spec("GET", f"{ONE}/postmortem", "GetPostmortem", "Return the postmortem"),
    Spec("POST", f"{ONE}/postmortem", "DraftPostmortem", "Draft the postmortem from the timeline"),
    Spec("PATCH", f"{ONE}/postmortem", "UpdatePostmortem", "Change the sections of a draft that updateMask names"),
    Spec("POST", f"{ONE}/postmortem:publish", "PublishPostmortem", "Publish a draft"),
    Spec("POST", f"{ONE}/postmortem:archive", "ArchivePostmortem", "Put a published postmortem away"),
    Spec("GET", "/postmortems", "ListPostmortems", "List postmortems, newest incident first"),
    Spec("GET", "/templates", "ListTemplates", "List the message templates in force"),
    Spec("PUT", "/templates", "UpdateTemplate", "Write a channel's template"),
    Spec("GET", "/status-page", "GetStatusPage", "Return what the status page shows"),
)
WATCHES = (
    Spec("GET", f"{ONE}:watch", "WatchIncident", "Watch one incident, as server-sent events"),
    Spec("GET", "/incidents:watch", "WatchIncidents", "Watch all incidents, as server-sent events"),
)


def build(incidents: Incidents, tenants: TenantRegistry) -> APIRouter:
    """Return the routes of the REST interface."""
    router = APIRouter(prefix="/api/v1", tags=["incidents"])
    for spec in WATCHES:
        _add(router, spec, _watching(spec, incidents, tenants))
    for spec in SPECS:
        _add(router, spec, _operation(spec, incidents))
    return router


def _operation(spec: Spec, incidents: Incidents) -> Operation:
    status = HTTPStatus.CREATED if spec.created else HTTPStatus.OK

    @needs(spec.requires.role, spec.requires.scope)
    async def operation(request: Request) -> Response:
        path = _addressed(request, spec)
        asked = await http_json.body(request, path) if spec.writes else http_json.query(request, path)
        answer = await incidents.call(current_identity().tenant, asked, spec.response, _key(request, spec))
        return http_json.answer(answer, status)

    return operation


def _watching(spec: Spec, incidents: Incidents, tenants: TenantRegistry) -> Operation:
    @needs(spec.requires.role, spec.requires.scope)
    async def operation(request: Request) -> Response:
        caller = current_identity()
        asked = http_json.query(request, _addressed(request, spec))
        watch = await Watch.begin(incidents.watch(caller.tenant, asked))
        told = while_good(watch.stream(), lambda: tenants.holds(caller))
        return StreamingResponse(told, media_type="text/event-stream")

    return operation


def _addressed(request: Request, spec: Spec) -> Message:
    """Return the rpc's request with the fields that the path gives; raises InvalidInput."""
    asked = spec.request()
    for name, value in request.path_params.items():
        setattr(asked, _FIELDS[name], checked_id(value))
    return asked


def _key(request: Request, spec: Spec) -> str:
    key = request.headers.get("idempotency-key", "") if spec.writes else ""
    if len(key) > KEY_CHARS or not (key.isascii() and key.isprintable()):
        raise InvalidInput(
            "bad_idempotency_key", f"Idempotency-Key has at most {KEY_CHARS} printable ASCII characters."
        )
    return key


def components() -> dict[str, Schema]:
    """Return the schemas the OpenAPI document refers to."""
    messages = [m for n, m in vars(contract).items() if n.endswith(("Request", "Response"))]
    return {"Problem": PROBLEM, **schemas(*(m.DESCRIPTOR for m in messages))}


def _add(router: APIRouter, spec: Spec, operation: Operation) -> None:
    documented = answers(spec.response, spec.summary, spec.problems, stream=spec in WATCHES)
    from_path = [_FIELDS[name] for name in _FIELDS if f"{{{name}}}" in spec.path]
    extra: dict[str, Any] = body_of(spec.request, from_path) if spec.writes else {}
    parameters = [_in_path(name) for name in _FIELDS if f"{{{name}}}" in spec.path]
    parameters += [idempotency_key(KEY_CHARS)] if spec.writes else parameters_of(spec.request, from_path)
    router.add_api_route(
        spec.path,
        operation,
        methods=[spec.method],
        summary=spec.summary,
        operation_id=spec.name or spec.rpc,
        status_code=HTTPStatus.CREATED if spec.created else HTTPStatus.OK,
        responses={201 if code == 200 and spec.created else code: shown for code, shown in documented.items()},
        openapi_extra={**extra, **({"parameters": parameters} if parameters else {})},
        response_class=Response,
        response_model=None,
    )


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
