"""The rest of the incident service in memory: what is called by request message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any, TypeVar

from google.protobuf.message import Message
from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract
from incidentscope.incident.v1 import response_pb2 as work

from libs.kernel.clock import Clock
from libs.kernel.ids import uuid7
from services.console.ports import RefusalReason, Refused
from tests.unit.services.console.memory_hypotheses import MemoryHypotheses
from tests.unit.services.console.stamps import stamp

R = TypeVar("R", bound=Message)
ROLES = {1: "commander", 2: "scribe", 3: "communications"}
TYPED = {
    "OpenIncident": "open", "GetIncident": "get", "ListIncidents": "list", "AcknowledgeIncident": "acknowledge",
    "ResolveIncident": "resolve", "AddNote": "add_note", "ListTimeline": "timeline", "GetHypotheses": "hypotheses",
}  # fmt: skip


class MemoryResponse(MemoryHypotheses):
    """Calls by request message. Of the rarer rpcs, those that the pages use."""

    clock: Clock
    kept: dict[tuple[str, str], incident_pb2.Incident]
    note: Callable[..., None]
    _find: Callable[[str, str], incident_pb2.Incident]
    _seen: Callable[[str, str, int], incident_pb2.Incident]
    _move: Callable[[str, str, int, int], incident_pb2.Incident]
    _answer: Callable[[], None]

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, work.Task] = {}
        self.links: list[work.Link] = []
        self.alerts: dict[str, list[incident_pb2.IncidentAlert]] = {}
        self.postmortems: dict[str, work.Postmortem] = {}
        self.updates: list[outside.StatusUpdate] = []
        self.keys: list[str] = []
        self.streamed: list[Message] = []
        self.watched: list[Message] = []

    async def call(self, tenant: str, request: Message, answer: type[R], idempotency_key: str = "") -> R:
        """Call the rpc a request belongs to; UNIMPLEMENTED for those that are not here."""
        self.keys.append(idempotency_key)
        name = request.DESCRIPTOR.name.removesuffix("Request")
        method: Any = getattr(self, TYPED.get(name, f"_{name}"), None)
        if method is None:
            raise Refused(RefusalReason.UNIMPLEMENTED, f"{name} is not in memory")
        found = method(tenant, request)
        made = await found if asyncio.iscoroutine(found) else found
        assert isinstance(made, answer)
        return made

    async def watch(self, tenant: str, request: Message) -> AsyncGenerator[Message, None]:
        """Yield the incident, then what tests have put into `streamed`."""
        self.watched.append(request)
        if isinstance(request, contract.WatchIncidentRequest):
            yield contract.WatchIncidentResponse(incident=self._find(tenant, request.id))
        for message in self.streamed:
            yield message

    def _told(self, request: Any, text: str, kind: int = incident_pb2.TIMELINE_KIND_STATE_CHANGE) -> None:
        self.note(request.id, kind, self.clock.now(), request.actor, text)

    def _MitigateIncident(self, tenant: str, request: contract.MitigateIncidentRequest) -> Message:
        to = incident_pb2.INCIDENT_STATUS_MITIGATED
        found = self._move(tenant, request.id, request.expected_version, to)
        found.mitigated_by = request.actor
        found.mitigated_at.CopyFrom(stamp(self.clock.now()))
        self._told(request, f"Mitigated by {request.actor}. {request.mitigation}")
        return contract.MitigateIncidentResponse(incident=found)

    def _CloseIncident(self, tenant: str, request: contract.CloseIncidentRequest) -> Message:
        found = self._move(tenant, request.id, request.expected_version, incident_pb2.INCIDENT_STATUS_CLOSED)
        found.closed_by = request.actor
        self._told(request, f"Closed by {request.actor}.")
        return contract.CloseIncidentResponse(incident=found)

    def _ReopenIncident(self, tenant: str, request: contract.ReopenIncidentRequest) -> Message:
        found = self._find(tenant, request.id)
        found.status = incident_pb2.INCIDENT_STATUS_OPEN
        found.version += 1
        for field in ("acknowledged_by", "acknowledged_at", "mitigated_at", "resolved_at", "resolved_by"):
            found.ClearField(field)
        self._told(request, f"Reopened by {request.actor}: {request.reason}")
        return contract.ReopenIncidentResponse(incident=found)

    def _MergeIncident(self, tenant: str, request: contract.MergeIncidentRequest) -> Message:
        into = self._find(tenant, request.into_id)
        found = self._move(tenant, request.id, request.expected_version, incident_pb2.INCIDENT_STATUS_CLOSED)
        found.merged_into = into.id
        self._told(request, f"Merged by {request.actor}.")
        return contract.MergeIncidentResponse(incident=found, into=into)

    def _UpdateIncident(self, tenant: str, request: contract.UpdateIncidentRequest) -> Message:
        found = self._seen(tenant, request.id, request.expected_version)
        request.update_mask.MergeMessage(request.incident, found, replace_repeated_field=True)
        found.version += 1
        self._told(request, f"Changed by {request.actor}.", incident_pb2.TIMELINE_KIND_UPDATE)
        return contract.UpdateIncidentResponse(incident=found)

    def _AssignRole(self, tenant: str, request: contract.AssignRoleRequest) -> Message:
        found = self._find(tenant, request.id)
        if request.role not in ROLES:
            raise Refused(RefusalReason.INVALID_ARGUMENT, "role is required")
        setattr(found, ROLES[request.role], request.person)
        found.version += 1
        text = f"{ROLES[request.role].capitalize()}: {request.person}"
        self._told(request, text, incident_pb2.TIMELINE_KIND_ROLE)
        return contract.AssignRoleResponse(incident=found)

    def _CreateTask(self, tenant: str, request: contract.CreateTaskRequest) -> Message:
        self._find(tenant, request.id)
        made = work.Task(
            id=uuid7(self.clock.now()), incident_id=request.id, kind=request.kind or work.TASK_KIND_TASK,
            title=request.title, owner=request.owner, status=work.TASK_STATUS_OPEN, version=1,
            due_at=request.due_at if request.HasField("due_at") else None,
        )  # fmt: skip
        self.tasks[made.id] = made
        self._told(request, f"Task: {request.title}", incident_pb2.TIMELINE_KIND_TASK)
        return contract.CreateTaskResponse(task=made)

    def _UpdateTask(self, tenant: str, request: contract.UpdateTaskRequest) -> Message:
        self._find(tenant, request.id)
        if request.task_id not in self.tasks:
            raise Refused(RefusalReason.NOT_FOUND, "There is no such task.")
        found = self.tasks[request.task_id]
        request.update_mask.MergeMessage(request.task, found)
        return contract.UpdateTaskResponse(task=found)

    def _ListTasks(self, tenant: str, request: contract.ListTasksRequest) -> Message:
        if request.id:
            self._find(tenant, request.id)
        mine = [t for t in self.tasks.values() if (tenant, t.incident_id) in self.kept]
        return contract.ListTasksResponse(tasks=[t for t in mine if request.id in ("", t.incident_id)])

    def _AddLink(self, tenant: str, request: contract.AddLinkRequest) -> Message:
        self._find(tenant, request.id)
        if not request.url.startswith("http"):
            raise Refused(RefusalReason.INVALID_ARGUMENT, "url must be an http or https address")
        made = work.Link(incident_id=request.id, title=request.title or request.url, url=request.url)
        self.links.append(made)
        return contract.AddLinkResponse(link=made)

    def _ListIncidentAlerts(self, tenant: str, request: contract.ListIncidentAlertsRequest) -> Message:
        self._find(tenant, request.id)
        return contract.ListIncidentAlertsResponse(alerts=self.alerts.get(request.id, ()))

    def _ListLinks(self, tenant: str, request: contract.ListLinksRequest) -> Message:
        self._find(tenant, request.id)
        return contract.ListLinksResponse(links=[one for one in self.links if one.incident_id == request.id])

    def _GetPostmortem(self, tenant: str, request: contract.GetPostmortemRequest) -> Message:
        self._find(tenant, request.id)
        if request.id not in self.postmortems:
            raise Refused(RefusalReason.NOT_FOUND, "There is no postmortem yet.")
        return contract.GetPostmortemResponse(postmortem=self.postmortems[request.id])

    def _postmortem(self, incident_id: str) -> work.Postmortem:
        if incident_id not in self.postmortems:
            raise Refused(RefusalReason.NOT_FOUND, "There is no postmortem yet.")
        return self.postmortems[incident_id]

    def _DraftPostmortem(self, tenant: str, request: contract.DraftPostmortemRequest) -> Message:
        self._find(tenant, request.id)
        drafted = work.Postmortem(
            incident_id=request.id, status=work.POSTMORTEM_STATUS_DRAFT, what_happened="It broke.", version=1,
            updated_by=request.actor, updated_at=stamp(self.clock.now()),
        )  # fmt: skip
        self.postmortems[request.id] = drafted
        return contract.DraftPostmortemResponse(postmortem=drafted)

    def _UpdatePostmortem(self, tenant: str, request: contract.UpdatePostmortemRequest) -> Message:
        self._find(tenant, request.id)
        found = self._postmortem(request.id)
        if request.expected_version not in (0, found.version):
            raise Refused(RefusalReason.ABORTED, f"The postmortem has version {found.version}.")
        request.update_mask.MergeMessage(request.postmortem, found)
        found.version += 1
        return contract.UpdatePostmortemResponse(postmortem=found)

    def _PublishPostmortem(self, tenant: str, request: contract.PublishPostmortemRequest) -> Message:
        self._find(tenant, request.id)
        found = self._postmortem(request.id)
        if not found.cause:
            raise Refused(RefusalReason.FAILED_PRECONDITION, "these sections are empty: cause")
        found.status = work.POSTMORTEM_STATUS_PUBLISHED
        found.published_at.CopyFrom(stamp(self.clock.now()))
        return contract.PublishPostmortemResponse(postmortem=found)

    def _ArchivePostmortem(self, tenant: str, request: contract.ArchivePostmortemRequest) -> Message:
        self._find(tenant, request.id)
        found = self._postmortem(request.id)
        found.status = work.POSTMORTEM_STATUS_ARCHIVED
        return contract.ArchivePostmortemResponse(postmortem=found)

    def _PostStatusUpdate(self, tenant: str, request: contract.PostStatusUpdateRequest) -> Message:
        self._find(tenant, request.id)
        posted = outside.StatusUpdate(
            id=uuid7(self.clock.now()), incident_id=request.id, message=request.message, public=request.public,
            status=request.status or outside.PUBLIC_STATUS_INVESTIGATING, posted_at=stamp(self.clock.now()),
        )  # fmt: skip
        self.updates.insert(0, posted)
        return contract.PostStatusUpdateResponse(update=posted)

    def _GetStatusPage(self, tenant: str, _request: contract.GetStatusPageRequest) -> Message:
        self._answer()
        public = [i for (owner, _), i in self.kept.items() if owner == tenant and i.public]
        ended, known = outside.PUBLIC_STATUS_RESOLVED, outside.PUBLIC_STATUS_IDENTIFIED
        shown = [
            outside.PublicIncident(
                incident=i, status=ended if i.status == incident_pb2.INCIDENT_STATUS_RESOLVED else known,
                updates=[u for u in self.updates if u.incident_id == i.id and u.public],
                updated_at=stamp(self.clock.now() - timedelta(seconds=1)),
            )
            for i in public
        ]  # fmt: skip
        return contract.GetStatusPageResponse(incidents=shown)

    def _ListRoleAssignments(self, tenant: str, request: contract.ListRoleAssignmentsRequest) -> Message:
        self._find(tenant, request.id)
        return contract.ListRoleAssignmentsResponse()

    def _RecordEntry(self, tenant: str, request: contract.RecordEntryRequest) -> Message:
        self._find(tenant, request.id)
        self._told(request, request.text, request.kind)
        return contract.RecordEntryResponse()

    def _ListStatusUpdates(self, tenant: str, request: contract.ListStatusUpdatesRequest) -> Message:
        self._find(tenant, request.id)
        return contract.ListStatusUpdatesResponse(updates=[u for u in self.updates if u.incident_id == request.id])

    def _RenderMessage(self, tenant: str, request: contract.RenderMessageRequest) -> Message:
        found = self._find(tenant, request.id)
        return contract.RenderMessageResponse(message=outside.RenderedMessage(body=found.title))

    def _ListTemplates(self, _tenant: str, _request: contract.ListTemplatesRequest) -> Message:
        return contract.ListTemplatesResponse()

    def _UpdateTemplate(self, _tenant: str, request: contract.UpdateTemplateRequest) -> Message:
        return contract.UpdateTemplateResponse(template=request.template)

    def _ListPostmortems(self, tenant: str, _request: contract.ListPostmortemsRequest) -> Message:
        mine = [p for i, p in self.postmortems.items() if (tenant, i) in self.kept]
        return contract.ListPostmortemsResponse(postmortems=mine)
