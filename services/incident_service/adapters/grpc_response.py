"""gRPC: what is added to an incident: notes, entries, links, tasks, updates; messages and the status page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc
from incidentscope.incident.v1 import response_pb2 as work

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import encode
from services.incident_service.adapters import requests as check
from services.incident_service.adapters.grpc_calls import reading, writing
from services.incident_service.domain import response
from services.incident_service.domain.communication import SUBJECT_CHARS, TEMPLATE_CHARS, Template
from services.incident_service.domain.model import Entry, EntryKind
from services.incident_service.domain.records import TaskKind
from services.incident_service.handlers.communication import Communication
from services.incident_service.handlers.response import NewTask, NewUpdate, Response
from services.incident_service.handlers.writes import Writes
from services.incident_service.ports import TaskFilter, Transaction

if TYPE_CHECKING:
    Base = incident_service_pb2_grpc.IncidentServiceServicer
else:
    Base = object
TASK_CHARS = 500
TASK_FIELDS = ("title", "owner", "due_at", "status")


class ResponseRpcs(Base):
    """The rpcs of those who respond to an incident."""

    writes: Writes
    responses: Response
    clock: Clock

    @writing(rpc.AddNoteResponse)
    async def AddNote(self, request: rpc.AddNoteRequest, tx: Transaction) -> rpc.AddNoteResponse:
        """Write a note on the timeline."""
        incident_id, actor = check.incident_id(request.id), check.actor(request.actor)
        note = check.text("text", request.text, check.TEXT_CHARS)
        changed = await self.writes.change(tx, incident_id, lambda i, now: response.add_note(i, actor, note, now))
        return rpc.AddNoteResponse(entry=encode.entry_message(incident_id, changed.entries[0]))

    @writing(rpc.RecordEntryResponse)
    async def RecordEntry(self, request: rpc.RecordEntryRequest, tx: Transaction) -> rpc.RecordEntryResponse:
        """Write on the timeline what a machine did."""
        incident_id, entry = check.incident_id(request.id), self._entry(request)
        changed = await self.writes.change(tx, incident_id, lambda i, _now: response.record_entry(i, entry))
        return rpc.RecordEntryResponse(entry=encode.entry_message(incident_id, changed.entries[0]))

    def _entry(self, request: rpc.RecordEntryRequest) -> Entry:
        kind = check.one_of("kind", request.kind, {k: encode.KINDS[k] for k in EntryKind if k in response.RECORDED})
        at = check.started_at(
            request.occurred_at if request.HasField("occurred_at") else None, self.clock.now(), "occurred_at"
        )
        return Entry(
            kind, at, check.actor(request.actor), check.text("source", request.source, check.NAME_CHARS),
            check.text("text", request.text, check.TEXT_CHARS), check.url("url", request.url, required=False),
        )  # fmt: skip

    @writing(rpc.AddLinkResponse)
    async def AddLink(self, request: rpc.AddLinkRequest, tx: Transaction) -> rpc.AddLinkResponse:
        """Add a link."""
        incident_id, actor = check.incident_id(request.id), check.actor(request.actor)
        title = check.text("title", request.title, check.NAME_CHARS, required=False)
        link = await self.responses.add_link(tx, incident_id, title, check.url("url", request.url), actor)
        return rpc.AddLinkResponse(link=encode.link_message(link))

    @reading
    async def ListIncidentAlerts(self, request: rpc.ListIncidentAlertsRequest) -> rpc.ListIncidentAlertsResponse:
        """List the alerts in their own words."""
        found = await self.responses.alerts(current_tenant(), check.incident_id(request.id))
        return rpc.ListIncidentAlertsResponse(alerts=[encode.alert_message(alert) for alert in found])

    @reading
    async def ListLinks(self, request: rpc.ListLinksRequest) -> rpc.ListLinksResponse:
        """List the links."""
        found = await self.responses.links(current_tenant(), check.incident_id(request.id))
        return rpc.ListLinksResponse(links=[encode.link_message(link) for link in found])

    @reading
    async def ListRoleAssignments(self, request: rpc.ListRoleAssignmentsRequest) -> rpc.ListRoleAssignmentsResponse:
        """List who had which role."""
        found = await self.responses.roles(current_tenant(), check.incident_id(request.id))
        return rpc.ListRoleAssignmentsResponse(assignments=[encode.role_message(r) for r in found])

    @writing(rpc.CreateTaskResponse)
    async def CreateTask(self, request: rpc.CreateTaskRequest, tx: Transaction) -> rpc.CreateTaskResponse:
        """Make a task or an action item."""
        kind = check.one_of("kind", request.kind, encode.TASK_KINDS) if request.kind else TaskKind.TASK
        new = NewTask(
            kind, check.text("title", request.title, TASK_CHARS),
            check.text("owner", request.owner, check.NAME_CHARS, required=False),
            check.moment("due_at", request.due_at) if request.HasField("due_at") else None,
            check.actor(request.actor),
        )  # fmt: skip
        task = await self.responses.create_task(tx, check.incident_id(request.id), new)
        return rpc.CreateTaskResponse(task=encode.task_message(task))

    @writing(rpc.UpdateTaskResponse)
    async def UpdateTask(self, request: rpc.UpdateTaskRequest, tx: Transaction) -> rpc.UpdateTaskResponse:
        """Change a task."""
        names = check.paths(request.update_mask, TASK_FIELDS)
        task = await self.responses.update_task(
            tx, check.incident_id(request.id), check.incident_id(request.task_id, "task_id"),
            {name: task_value(name, request.task) for name in names}, check.actor(request.actor),
            check.expected_version(request.expected_version),
        )  # fmt: skip
        return rpc.UpdateTaskResponse(task=encode.task_message(task))

    @reading
    async def ListTasks(self, request: rpc.ListTasksRequest) -> rpc.ListTasksResponse:
        """List tasks and action items."""
        wanted = TaskFilter(
            check.incident_id(request.id) if request.id else None,
            check.some_of("statuses", request.statuses, encode.TASK_STATUSES),
            check.one_of("kind", request.kind, encode.TASK_KINDS) if request.kind else None,
            self.clock.now() if request.overdue else None,
        )
        size = check.page_size(request.page_size, most=500, usual=50)
        statuses = ",".join(wanted.statuses)
        scope = f"tasks {wanted.incident_id} {statuses} {wanted.kind} {request.overdue}"
        after = check.incident_position(scope, request.page_token)
        found = await self.responses.tasks(current_tenant(), wanted, size + 1, after)
        token = check.page_token(scope, found[size - 1].id) if len(found) > size else ""
        return rpc.ListTasksResponse(tasks=[encode.task_message(t) for t in found[:size]], next_page_token=token)

    @writing(rpc.PostStatusUpdateResponse)
    async def PostStatusUpdate(
        self, request: rpc.PostStatusUpdateRequest, tx: Transaction
    ) -> rpc.PostStatusUpdateResponse:
        """Record what people outside are told."""
        status = check.one_of("status", request.status, encode.PUBLIC_STATUSES) if request.status else None
        message = check.text("message", request.message, check.TEXT_CHARS)
        new = NewUpdate(status, message, request.public, check.actor(request.actor))
        posted = await self.responses.post_update(tx, check.incident_id(request.id), new)
        return rpc.PostStatusUpdateResponse(update=encode.update_message(posted))

    @reading
    async def ListStatusUpdates(self, request: rpc.ListStatusUpdatesRequest) -> rpc.ListStatusUpdatesResponse:
        """List what people outside were told."""
        found = await self.responses.updates(current_tenant(), check.incident_id(request.id))
        return rpc.ListStatusUpdatesResponse(updates=[encode.update_message(u) for u in found])


class CommunicationRpcs(Base):
    """The rpcs around messages and the status page."""

    writes: Writes
    communication: Communication

    @reading
    async def ListTemplates(self, _request: rpc.ListTemplatesRequest) -> rpc.ListTemplatesResponse:
        """List the templates in force."""
        found = await self.communication.templates(current_tenant())
        return rpc.ListTemplatesResponse(templates=[encode.template_message(t) for t in found])

    @writing(rpc.UpdateTemplateResponse)
    async def UpdateTemplate(self, request: rpc.UpdateTemplateRequest, tx: Transaction) -> rpc.UpdateTemplateResponse:
        """Write a channel's template."""
        wanted = await self.communication.check_template(template(request.template, check.actor(request.actor)))
        kept = await self.communication.keep_template(tx, wanted)
        return rpc.UpdateTemplateResponse(template=encode.template_message(kept))

    @reading
    async def RenderMessage(self, request: rpc.RenderMessageRequest) -> rpc.RenderMessageResponse:
        """Render what would be said about an incident."""
        channel = check.one_of("channel", request.channel, encode.CHANNELS)
        trial = None
        if request.HasField("template"):
            request.template.channel = request.channel
            trial = template(request.template, "")
        message = check.text("message", request.message, check.TEXT_CHARS, required=False)
        incident_id = check.incident_id(request.id)
        rendered = await self.communication.render(current_tenant(), incident_id, channel, message, trial)
        return rpc.RenderMessageResponse(message=encode.rendered_message(channel, rendered))

    @reading
    async def GetStatusPage(self, _request: rpc.GetStatusPageRequest) -> rpc.GetStatusPageResponse:
        """Return what the status page shows."""
        shown = await self.communication.status_page(current_tenant())
        latest = max((s.updated_at for s in shown), default=None)
        incidents = [encode.public_message(s) for s in shown]
        return rpc.GetStatusPageResponse(incidents=incidents, updated_at=encode.timestamp(latest))


def task_value(name: str, task: work.Task) -> Any:
    """Return the new value of a task's field; raises InvalidInput."""
    match name:
        case "title":
            return check.text(name, task.title, TASK_CHARS)
        case "owner":
            return check.text(name, task.owner, check.NAME_CHARS, required=False)
        case "due_at":
            return check.moment(name, task.due_at) if task.HasField("due_at") else None
        case "status":
            return check.one_of(name, task.status, encode.TASK_STATUSES)
    raise InvalidInput("update_mask", f"{name} cannot be changed")


def template(message: outside.MessageTemplate, actor: str) -> Template:
    """Return a template as somebody wrote it; raises InvalidInput."""
    return Template(
        check.one_of("channel", message.channel, encode.CHANNELS),
        check.text("subject", message.subject, SUBJECT_CHARS, required=False),
        check.text("body", message.body, TEMPLATE_CHARS, required=False),
        actor,
    )
