"""The pages: HTML for people, and the forms on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from libs.access.http import needs
from libs.access.identity import Role, Scope, current_identity
from libs.kernel.errors import InvalidInput
from services.console.adapters.http_problems import Problem, problem_of
from services.console.adapters.http_security import WriteCheck, check_write
from services.console.adapters.http_templates import Pages
from services.console.handlers.incidents import MAX_NOTE, IncidentPages
from services.console.handlers.services import ServicePages
from services.console.ports import RefusalReason, Refused

ACTOR_COOKIE = "incidentscope_actor"
_COOKIE_SECONDS = 180 * 24 * 3600
DONE = {
    "acknowledge": "You have taken this incident.",
    "resolve": "The incident is resolved.",
    "notes": "The note is on the timeline.",
}
_CONFLICTS = (RefusalReason.FAILED_PRECONDITION, RefusalReason.ABORTED, RefusalReason.INVALID_ARGUMENT)


@dataclass(frozen=True, slots=True)
class PageRoutes:
    """Answers requests for pages."""

    incidents: IncidentPages
    services: ServicePages
    pages: Pages

    def routes(self) -> list[Route]:
        """Return the routes of all pages."""
        return [
            Route("/", self.list, methods=["GET"]),
            Route("/incidents/{incident_id}", self.incident, methods=["GET"]),
            Route("/incidents/{incident_id}/{action:str}", self.act, methods=["POST"]),
            Route("/services", self.service_list, methods=["GET"]),
            Route("/services/{service:path}", self.service, methods=["GET"]),
            Route("/deploys", self.deploy_list, methods=["GET"]),
        ]

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def list(self, request: Request) -> Response:
        """The live list of incidents."""
        query = request.query_params
        tenant = self._tenant(request)
        page = await self.incidents.incident_list(tenant, query.get("status", ""), query.get("page", ""))
        return self.pages.render("incidents.html", tenant, {"page": page})

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def incident(self, request: Request) -> Response:
        """The page of one incident."""
        form = {"done": DONE.get(request.query_params.get("done", ""), ""), "actor": _remembered(request)}
        return await self._incident(request, form, 200)

    async def _incident(self, request: Request, form: Mapping[str, str], status: int) -> HTMLResponse:
        tenant = self._tenant(request)
        try:
            page = await self.incidents.page(tenant, request.path_params["incident_id"])
        except InvalidInput as exc:
            raise Refused(RefusalReason.NOT_FOUND, str(exc)) from exc
        shown = {"page": page, "form": {"done": "", "error": "", "text": "", **form}, "max_note": MAX_NOTE}
        return self.pages.render("incident.html", tenant, shown, status)

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def act(self, request: Request) -> Response:
        """Acknowledge, resolve or note, then back to the incident; a refusal shows the page again as it was typed."""
        tenant = self._tenant(request)
        action, incident_id = request.path_params["action"], request.path_params["incident_id"]
        if action not in DONE:
            raise Refused(RefusalReason.NOT_FOUND, f"An incident cannot be asked to {action[:30]!r}.")
        checked = check_write(dict(request.headers), browser_form=True)
        if checked is not WriteCheck.SAME_ORIGIN:
            raise Refused(RefusalReason.PERMISSION_DENIED, _REFUSED_WRITES[checked])
        async with request.form(max_files=0, max_fields=20) as form:
            actor, text = _field(form, "actor"), _field(form, "text")
            try:
                await self._do(tenant, incident_id, action, actor, text, _version(form))
            except (InvalidInput, Refused) as exc:
                return await self._again(request, exc, {"actor": actor, "text": text})
        answer = RedirectResponse(f"/incidents/{quote(incident_id)}?done={action}", 303)
        answer.set_cookie(
            ACTOR_COOKIE, quote(" ".join(actor.split())), _COOKIE_SECONDS, httponly=True, samesite="strict"
        )
        return answer

    async def _do(self, tenant: str, incident_id: str, action: str, actor: str, text: str, version: int) -> None:
        if action == "acknowledge":
            await self.incidents.acknowledge(tenant, incident_id, actor, text, version)
        elif action == "resolve":
            await self.incidents.resolve(tenant, incident_id, actor, text, version)
        else:
            await self.incidents.note(tenant, incident_id, actor, text)

    async def _again(self, request: Request, error: InvalidInput | Refused, form: Mapping[str, str]) -> Response:
        if isinstance(error, Refused) and error.reason not in _CONFLICTS:
            raise error
        if isinstance(error, InvalidInput) and error.reason == "bad_id":
            raise Refused(RefusalReason.NOT_FOUND, str(error))
        status = 422 if isinstance(error, InvalidInput) else problem_of(error).status.value
        return await self._incident(request, {**form, "error": str(error)}, status)

    @needs(Role.VIEWER, Scope.TELEMETRY_READ)
    async def service_list(self, request: Request) -> Response:
        """Every service of the last hour."""
        tenant = self._tenant(request)
        return self.pages.render("services.html", tenant, {"page": await self.services.service_list(tenant)})

    @needs(Role.VIEWER, Scope.TELEMETRY_READ)
    async def service(self, request: Request) -> Response:
        """The page of one service."""
        query = request.query_params
        tenant = self._tenant(request)
        page = await self.services.page(
            tenant, request.path_params["service"], query.get("from", ""), query.get("to", "")
        )
        return self.pages.render("service.html", tenant, {"page": page})

    @needs(Role.VIEWER, Scope.DEPLOYS_READ)
    async def deploy_list(self, request: Request) -> Response:
        """The deploys of the last week."""
        tenant = self._tenant(request)
        return self.pages.render("deploys.html", tenant, {"page": await self.services.deploy_list(tenant)})

    def problem(self, problem: Problem) -> HTMLResponse:
        """The page for when there is no page."""
        answer = self.pages.render("error.html", "", {"problem": problem}, problem.status.value)
        answer.headers.update(problem.headers)
        return answer

    def _tenant(self, _request: Request) -> str:
        return current_identity().tenant


_REFUSED_WRITES = {
    WriteCheck.CROSS_SITE: "The form was sent from another site. Open the incident here and send it again.",
    WriteCheck.NO_ORIGIN: "The form does not say which site it comes from. Programs use the REST interface, /api/v1.",
}


def _field(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _version(form: FormData) -> int:
    """Return the version of the incident the person saw; 0, which is not checked, when the form has none."""
    text = _field(form, "version")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("bad_version", "The form's version is not a number: reload the page.")
    return int(text or "0")


def _remembered(request: Request) -> str:
    return current_identity().name or unquote(request.cookies.get(ACTOR_COOKIE, ""))[:100]
