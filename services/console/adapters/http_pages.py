"""The pages: HTML for people, and the forms on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from libs.access.http import needs
from libs.access.identity import CALLER, Role, Scope, current_identity
from libs.kernel.errors import InvalidInput
from services.console.adapters import http_forms
from services.console.adapters.http_links import HERE, own
from services.console.adapters.http_problems import Problem, problem_of
from services.console.adapters.http_templates import Pages
from services.console.domain import filters
from services.console.domain.views import DeployList, IncidentList, ServiceList
from services.console.handlers.causes import CausePages
from services.console.handlers.checks import MAX_NOTE
from services.console.handlers.elsewhere import Elsewhere
from services.console.handlers.incidents import IncidentPages
from services.console.handlers.response import ACTIONS, Responding, version
from services.console.handlers.services import ServicePages
from services.console.ports import RefusalReason, Refused

ACTOR_COOKIE = "incidentscope_actor"
_COOKIE_SECONDS = 180 * 24 * 3600
DONE = {
    "acknowledge": "You have taken this incident.",
    "mitigate": "The incident is mitigated.",
    "resolve": "The incident is resolved.",
    "close": "The incident is closed.",
    "reopen": "The incident is open again.",
    "merge": "The incident is merged.",
    "command": "You are in command.",
    "role": "The role is handed over.",
    "task": "The task is on the list.",
    "done": "The task is done.",
    "link": "The link is added.",
    "facts": "The facts are changed.",
    "update": "The update is recorded.",
    "confirm": "The cause is confirmed.",
    "reject": "The hypothesis is rejected.",
    "cause": "The real cause is recorded.",
    "notes": "The note is on the timeline.",
}
POSTMORTEM_DONE = {
    "draft": "The postmortem is drafted from the timeline.",
    "save": "The postmortem is saved.",
    "publish": "The postmortem is published.",
    "archive": "The postmortem is archived.",
}
_CONFLICTS = (
    RefusalReason.FAILED_PRECONDITION,
    RefusalReason.ABORTED,
    RefusalReason.INVALID_ARGUMENT,
    RefusalReason.ALREADY_EXISTS,
    RefusalReason.NOT_FOUND,  # of what a form names; without the incident itself there is no page to show
)


@dataclass(frozen=True, slots=True)
class PageRoutes:
    """Answers requests for pages."""

    incidents: IncidentPages
    services: ServicePages
    responding: Responding
    causes: CausePages
    elsewhere: Elsewhere
    pages: Pages

    def routes(self) -> list[Route]:
        """Return the routes of all pages."""
        return [
            Route("/", self.list, methods=["GET"]),
            Route("/incidents/{incident_id}", self.incident, methods=["GET"]),
            Route("/incidents/{incident_id}/analyses/{version:int}", self.analysis, methods=["GET"]),
            Route("/incidents/{incident_id}/postmortem", self.postmortem, methods=["GET"]),
            Route("/incidents/{incident_id}/postmortem/{action:str}", self.write_postmortem, methods=["POST"]),
            Route("/incidents/{incident_id}/postmortem/{action:str}", self.back_to_postmortem, methods=["GET"]),
            Route("/incidents/{incident_id}/{action:str}", self.act, methods=["POST"]),
            Route("/incidents/{incident_id}/{action:str}", self.back, methods=["GET"]),
            Route("/services", self.service_list, methods=["GET"]),
            Route("/services/{service:path}", self.service, methods=["GET"]),
            Route("/deploys", self.deploy_list, methods=["GET"]),
        ]

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def list(self, request: Request) -> Response:
        """The live list of incidents."""
        tenant = self._tenant(request)
        asked = filters.Filters.read(filters.INCIDENTS, request.query_params.multi_items())
        page = await self.incidents.incident_list(tenant, asked, request.query_params.get("page", ""))
        elsewhere = () if page.rows or page.missing or page.error or asked.active else await self.elsewhere()
        return self.pages.render("incidents.html", tenant, {"page": page, "elsewhere": elsewhere}, _found(page))

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def incident(self, request: Request) -> Response:
        """The page of one incident."""
        form = {"done": DONE.get(request.query_params.get("done", ""), ""), "actor": _remembered(request)}
        return await self._incident(request, form, 200)

    async def _incident(self, request: Request, form: Mapping[str, str], status: int) -> HTMLResponse:
        tenant = self._tenant(request)
        try:
            query = request.query_params.multi_items()
            page = await self.incidents.page(tenant, request.path_params["incident_id"], query)
        except InvalidInput as exc:
            raise Refused(RefusalReason.NOT_FOUND, str(exc)) from exc
        shown = {"page": page, "form": {"done": "", "error": "", "text": "", "actor": "", **form}, "max_note": MAX_NOTE}
        return self.pages.render("incident.html", tenant, shown, status)

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def act(self, request: Request) -> Response:
        """Do what a form on the incident's page says, then back; a refusal shows the page again as it was typed."""
        tenant = self._tenant(request)
        action, incident_id = request.path_params["action"], request.path_params["incident_id"]
        form = await http_forms.read(request, action, DONE)
        try:
            await self._do(tenant, incident_id, action, form)
        except (InvalidInput, Refused) as exc:
            return await self._again(request, exc, form)
        return _remembering(_to(f"/incidents/{quote(incident_id)}?done={action}"), form)

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def back(self, request: Request) -> Response:
        """Lead from a form's address, where its refusal was read, back to the incident: as on reloading by hand."""
        return await self._back(request, DONE)

    async def _do(self, tenant: str, incident_id: str, action: str, form: Mapping[str, str]) -> None:
        actor, text = form.get("actor", ""), form.get("text", "")
        if action in ACTIONS:
            await self.responding.act(tenant, incident_id, action, {"text": "", **form})
        elif action == "acknowledge":
            await self.incidents.acknowledge(tenant, incident_id, actor, text, version(form))
        elif action == "resolve":
            await self.incidents.resolve(tenant, incident_id, actor, text, version(form))
        else:
            await self.incidents.note(tenant, incident_id, actor, text)

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def analysis(self, request: Request) -> Response:
        """The page of one analysis, the latest or an older one."""
        tenant = self._tenant(request)
        which = request.path_params
        try:
            page = await self.causes.page(tenant, which["incident_id"], which["version"])
        except InvalidInput as exc:
            raise Refused(RefusalReason.NOT_FOUND, str(exc)) from exc
        return self.pages.render("analysis.html", tenant, {"page": page})

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def postmortem(self, request: Request) -> Response:
        """The page of an incident's postmortem."""
        form = {"done": POSTMORTEM_DONE.get(request.query_params.get("done", ""), ""), "actor": _remembered(request)}
        return await self._postmortem(request, form, 200)

    async def _postmortem(self, request: Request, form: Mapping[str, str], status: int) -> HTMLResponse:
        tenant = self._tenant(request)
        try:
            page = await self.responding.postmortem_page(tenant, request.path_params["incident_id"])
        except InvalidInput as exc:
            raise Refused(RefusalReason.NOT_FOUND, str(exc)) from exc
        return self.pages.render("postmortem.html", tenant, {"page": page, "form": {"error": "", **form}}, status)

    @needs(Role.RESPONDER, Scope.INCIDENTS_WRITE)
    async def write_postmortem(self, request: Request) -> Response:
        """Draft, save, publish or archive, then back to the page; a refusal shows it again as it was typed."""
        tenant = self._tenant(request)
        action, incident_id = request.path_params["action"], request.path_params["incident_id"]
        form = await http_forms.read(request, action, POSTMORTEM_DONE)
        try:
            await self.responding.write_postmortem(tenant, incident_id, action, form)
        except (InvalidInput, Refused) as exc:
            status = _status_of(exc)
            return await self._postmortem(request, {"done": "", **form, "error": _told(exc)}, status)
        return _remembering(_to(f"/incidents/{quote(incident_id)}/postmortem?done={action}"), form)

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def back_to_postmortem(self, request: Request) -> Response:
        """Lead from the address of a postmortem's form back to the postmortem."""
        return await self._back(request, POSTMORTEM_DONE)

    async def _back(self, request: Request, known: Mapping[str, str]) -> Response:
        if request.path_params["action"] not in known:
            raise HTTPException(404)
        try:
            await self.incidents.find(self._tenant(request), request.path_params["incident_id"])
        except InvalidInput as exc:
            raise Refused(RefusalReason.NOT_FOUND, str(exc)) from exc
        return _to(quote(request.url.path.rpartition("/")[0]))

    async def _again(self, request: Request, error: InvalidInput | Refused, form: Mapping[str, str]) -> Response:
        again = {**form, "done": "", "action": request.path_params["action"], "error": _told(error)}
        return await self._incident(request, again, _status_of(error))

    @needs(Role.VIEWER, Scope.TELEMETRY_READ)
    async def service_list(self, request: Request) -> Response:
        """Every service of the last hour."""
        tenant = self._tenant(request)
        asked = filters.Filters.read(filters.SERVICES, request.query_params.multi_items())
        page = await self.services.service_list(tenant, asked)
        return self.pages.render("services.html", tenant, {"page": page}, _found(page))

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
        """The deploys of the last week, or those asked for."""
        tenant = self._tenant(request)
        asked = filters.Filters.read(filters.DEPLOYS, request.query_params.multi_items())
        page = await self.services.deploy_list(tenant, asked)
        return self.pages.render("deploys.html", tenant, {"page": page}, _found(page))

    def problem(self, problem: Problem, page: str = "/", kept: http_forms.Kept | None = None) -> HTMLResponse:
        """The page for when there is no page; it keeps what was typed, and leads back to the page it was typed on."""
        HERE.set(own(page))
        shown = {"problem": problem, "page": own(page), "kept": kept}
        caller = CALLER.get(None)
        answer = self.pages.render("error.html", caller.tenant if caller else "", shown, problem.status.value)
        answer.headers.update(problem.headers)
        return answer

    def _tenant(self, request: Request) -> str:
        HERE.set(own(http_forms.page_of(request)))
        return current_identity().tenant


def _found(page: IncidentList | ServiceList | DeployList) -> int:
    """Return the status of a list's page."""
    return 400 if page.error else 200


def _to(address: str) -> RedirectResponse:
    return RedirectResponse(own(address), 303)


def _status_of(error: InvalidInput | Refused) -> int:
    """Return the status of a page shown again with an error; raises the error when no page can be shown for it."""
    if isinstance(error, Refused) and error.reason not in _CONFLICTS:
        raise error
    return 422 if isinstance(error, InvalidInput) else problem_of(error).status.value


def _told(error: InvalidInput | Refused) -> str:
    """Return what a person reads, and does next where somebody else was quicker."""
    if isinstance(error, Refused) and error.reason is RefusalReason.ABORTED:
        return "Somebody changed this meanwhile. Look at what is new, then press again: what you typed is kept here."
    return str(error)


def _remembering(answer: RedirectResponse, form: Mapping[str, str]) -> RedirectResponse:
    actor = quote(" ".join(form.get("actor", "").split()))
    answer.set_cookie(ACTOR_COOKIE, actor, _COOKIE_SECONDS, httponly=True, samesite="strict")
    return answer


def _remembered(request: Request) -> str:
    return current_identity().name or unquote(request.cookies.get(ACTOR_COOKIE, ""))[:100]
