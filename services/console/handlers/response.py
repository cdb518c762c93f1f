"""What people do beside acknowledging, noting and resolving: one request for each form on the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract
from incidentscope.incident.v1 import response_pb2 as work

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from services.console import decode
from services.console.domain import views
from services.console.domain.models import Alert, Link, Postmortem, PublicIncident, Task
from services.console.handlers import causes
from services.console.handlers.checks import checked_actor, checked_due, checked_id, checked_note
from services.console.ports import Incidents, RefusalReason, Refused

Form = Mapping[str, str]
_TASKS_SHOWN = 500
_ROLES = {
    "commander": incident_pb2.INCIDENT_ROLE_COMMANDER,
    "scribe": incident_pb2.INCIDENT_ROLE_SCRIBE,
    "communications": incident_pb2.INCIDENT_ROLE_COMMUNICATIONS,
}
_SEVERITIES = {
    "minor": incident_pb2.INCIDENT_SEVERITY_MINOR,
    "major": incident_pb2.INCIDENT_SEVERITY_MAJOR,
    "critical": incident_pb2.INCIDENT_SEVERITY_CRITICAL,
}


def _mitigate(form: Form) -> Message:
    return contract.MitigateIncidentRequest(mitigation=checked_note(form["text"]), expected_version=version(form))


def _close(form: Form) -> Message:
    return contract.CloseIncidentRequest(expected_version=version(form))


def _reopen(form: Form) -> Message:
    why = checked_note(form["text"])
    if not why:
        raise InvalidInput("no_note", "Say in the note why the incident goes on.")
    return contract.ReopenIncidentRequest(reason=why, expected_version=version(form))


def _merge(form: Form) -> Message:
    into = form.get("into", "").strip().rpartition("/")[2]  # the address of its page will do
    return contract.MergeIncidentRequest(into_id=checked_id(into), expected_version=version(form))


def _command(form: Form) -> Message:
    person = checked_actor(form["actor"])
    return contract.AssignRoleRequest(role=incident_pb2.INCIDENT_ROLE_COMMANDER, person=person)


def _role(form: Form) -> Message:
    role = _ROLES.get(form.get("role", ""))
    if role is None:
        raise InvalidInput("bad_role", f"There is no such role; there are {', '.join(_ROLES)}.")
    return contract.AssignRoleRequest(role=role, person=" ".join(form.get("person", "").split()))


def _task(form: Form) -> Message:
    title = " ".join(form.get("title", "").split())
    if not title:
        raise InvalidInput("no_title", "Say what there is to do.")
    due = checked_due(form.get("due", ""))
    follow_up = form.get("kind") == "action item"
    return contract.CreateTaskRequest(
        title=title,
        owner=form.get("owner", ""),
        kind=work.TASK_KIND_ACTION_ITEM if follow_up else work.TASK_KIND_TASK,
        due_at=decode.timestamp(due) if due else None,
    )


def _done(form: Form) -> Message:
    task = work.Task(status=work.TASK_STATUS_DONE)
    mask = FieldMask(paths=["status"])
    return contract.UpdateTaskRequest(task_id=checked_id(form.get("task", "")), task=task, update_mask=mask)


def _link(form: Form) -> Message:
    return contract.AddLinkRequest(url=form.get("url", "").strip(), title=form.get("title", "").strip())


def _facts(form: Form) -> Message:
    values = incident_pb2.Incident(
        severity=_SEVERITIES.get(form.get("severity", ""), incident_pb2.INCIDENT_SEVERITY_UNSPECIFIED),
        priority=_priority(form.get("priority", "")),
        bridge_url=form.get("bridge", "").strip(),
        public=form.get("public") == "yes",
    )
    mask = FieldMask(paths=["severity", "priority", "bridge_url", "public"])
    return contract.UpdateIncidentRequest(incident=values, update_mask=mask, expected_version=version(form))


def _update(form: Form) -> Message:
    message = checked_note(form.get("message", ""))
    if not message:
        raise InvalidInput("no_note", "The update is empty: write something first.")
    return contract.PostStatusUpdateRequest(
        message=message, public=form.get("public") == "yes", status=_public_status(form.get("status", ""))
    )


def _draft(_form: Form) -> Message:
    return contract.DraftPostmortemRequest()


def _save(form: Form) -> Message:
    written = work.Postmortem()
    for name in decode.SECTIONS:
        setattr(written, name, form.get(name, "").replace("\r\n", "\n"))
    mask = FieldMask(paths=decode.SECTIONS)
    return contract.UpdatePostmortemRequest(postmortem=written, update_mask=mask, expected_version=version(form))


def _publish(form: Form) -> Message:
    return contract.PublishPostmortemRequest(expected_version=version(form))


def _archive(_form: Form) -> Message:
    return contract.ArchivePostmortemRequest()


ACTIONS: Mapping[str, Callable[[Form], Message]] = {
    "mitigate": _mitigate,
    "close": _close,
    "reopen": _reopen,
    "merge": _merge,
    "command": _command,
    "role": _role,
    "task": _task,
    "done": _done,
    "link": _link,
    "facts": _facts,
    "update": _update,
    "confirm": causes.confirm,
    "reject": causes.reject,
    "cause": causes.name_cause,
}
POSTMORTEM_ACTIONS: Mapping[str, Callable[[Form], Message]] = {
    "draft": _draft,
    "save": _save,
    "publish": _publish,
    "archive": _archive,
}


@dataclass(frozen=True, slots=True)
class Responding:
    """Carries out what the forms say, and reads what the pages around them show."""

    incidents: Incidents
    clock: Clock

    async def act(self, tenant: str, incident_id: str, action: str, form: Form) -> None:
        """Carry out one of ACTIONS; raises InvalidInput, Refused or Unavailable."""
        await self._send(tenant, incident_id, ACTIONS[action](form), form)

    async def write_postmortem(self, tenant: str, incident_id: str, action: str, form: Form) -> None:
        """Carry out one of POSTMORTEM_ACTIONS; what was typed is saved before publishing; raises as `act`."""
        if action == "publish" and any(name in form for name in decode.SECTIONS):
            form = {**form, "version": str(await self._saved(tenant, incident_id, form))}
        await self._send(tenant, incident_id, POSTMORTEM_ACTIONS[action](form), form)

    async def _saved(self, tenant: str, incident_id: str, form: Form) -> int:
        try:
            request = _to(incident_id, _save(form), form)
            return (await self.incidents.call(tenant, request, contract.UpdatePostmortemResponse)).postmortem.version
        except Refused as exc:
            if exc.reason is RefusalReason.FAILED_PRECONDITION:  # nothing was changed since it was saved
                return version(form)
            raise

    async def _send(self, tenant: str, incident_id: str, request: Message, form: Form) -> None:
        answer = getattr(contract, request.DESCRIPTOR.name.replace("Request", "Response"))
        await self.incidents.call(tenant, _to(incident_id, request, form), answer)

    async def postmortem_page(self, tenant: str, incident_id: str) -> views.PostmortemPage:
        """Return the page of a postmortem; raises InvalidInput, Refused with NOT_FOUND, or Unavailable."""
        answer = await self.incidents.get(tenant, contract.GetIncidentRequest(id=checked_id(incident_id)))
        items = await tasks_of(self.incidents, tenant, incident_id)
        return views.PostmortemPage(
            incident=decode.incident(answer.incident),
            now=self.clock.now(),
            postmortem=await self._postmortem(tenant, incident_id),
            items=tuple(task for task in items if task.kind == "action item"),
        )

    async def _postmortem(self, tenant: str, incident_id: str) -> Postmortem | None:
        request = contract.GetPostmortemRequest(id=incident_id)
        try:
            found = await self.incidents.call(tenant, request, contract.GetPostmortemResponse)
        except Refused as exc:
            if exc.reason is RefusalReason.NOT_FOUND:
                return None
            raise
        return decode.postmortem(found.postmortem)

    async def status_page(self, tenant: str) -> tuple[PublicIncident, ...]:
        """Return what the status page shows, newest first; raises Refused or Unavailable."""
        answer = await self.incidents.call(tenant, contract.GetStatusPageRequest(), contract.GetStatusPageResponse)
        return tuple(decode.public_incident(incident) for incident in answer.incidents)


def _to(incident_id: str, request: Message, form: Form) -> Message:
    """Return a request with the incident and the person; raises InvalidInput."""
    addressed: Any = request
    addressed.id, addressed.actor = checked_id(incident_id), checked_actor(form.get("actor", ""))
    return request


async def tasks_of(incidents: Incidents, tenant: str, incident_id: str) -> tuple[Task, ...]:
    """Return an incident's tasks, oldest first."""
    request = contract.ListTasksRequest(id=incident_id, page_size=_TASKS_SHOWN)
    answer = await incidents.call(tenant, request, contract.ListTasksResponse)
    return tuple(decode.task(task) for task in answer.tasks)


async def alerts_of(incidents: Incidents, tenant: str, incident_id: str) -> tuple[Alert, ...]:
    """Return an incident's alerts in their own words; raises Refused or Unavailable."""
    request = contract.ListIncidentAlertsRequest(id=incident_id)
    answer = await incidents.call(tenant, request, contract.ListIncidentAlertsResponse)
    return tuple(decode.alert(a) for a in answer.alerts)


async def links_of(incidents: Incidents, tenant: str, incident_id: str) -> tuple[Link, ...]:
    """Return an incident's links, oldest first."""
    answer = await incidents.call(tenant, contract.ListLinksRequest(id=incident_id), contract.ListLinksResponse)
    return tuple(decode.link(link) for link in answer.links)


def version(form: Form) -> int:
    """Return the version the person saw; 0, which is not checked, when the form has none; raises InvalidInput."""
    text = form.get("version", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidInput("bad_version", "The form's version is not a number: reload the page.")
    return int(text or "0")


def _priority(word: str) -> incident_pb2.IncidentPriority.ValueType:
    known = {name[-2:]: value for name, value in incident_pb2.IncidentPriority.items()}
    return known.get(word.upper(), incident_pb2.INCIDENT_PRIORITY_UNSPECIFIED)


def _public_status(word: str) -> outside.PublicStatus.ValueType:
    known = {name.removeprefix("PUBLIC_STATUS_"): value for name, value in outside.PublicStatus.items()}
    return known.get(word.upper(), outside.PUBLIC_STATUS_UNSPECIFIED)
