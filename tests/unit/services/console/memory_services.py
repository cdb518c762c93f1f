"""The incident and deploy services in memory, behaving as the real ones promise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy_contract
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.kernel.ids import uuid7
from libs.kernel.search import holds, words
from services.console.ports import RefusalReason, Refused
from tests.unit.services.console.memory_response import MemoryResponse
from tests.unit.services.console.stamps import stamp

TENANT = "shop"
if TYPE_CHECKING:
    Kind: TypeAlias = incident_pb2.TimelineKind.ValueType


_SORTED_BY: dict[int, Callable[[incident_pb2.Incident], Any]] = {
    contract.INCIDENT_SORT_UNSPECIFIED: lambda i: i.opened_at.ToDatetime(UTC),
    contract.INCIDENT_SORT_OPENED: lambda i: i.opened_at.ToDatetime(UTC),
    contract.INCIDENT_SORT_UPDATED: lambda i: i.updated_at.ToDatetime(UTC),
    contract.INCIDENT_SORT_SEVERITY: lambda i: i.severity,
}


class MemoryIncidents(MemoryResponse):
    """An incident service in memory; `down` makes it silent."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.down = False
        self.no_analysis = False
        self.second_page_of = contract.ListIncidentsRequest()
        self.kept: dict[tuple[str, str], incident_pb2.Incident] = {}
        self.entries: dict[str, list[incident_pb2.TimelineEntry]] = {}
        self.analyses: dict[str, correlation_events.HypothesesPublished] = {}

    def add(self, tenant: str, title: str, began: datetime, **more: object) -> incident_pb2.Incident:
        """Keep a new incident and return it."""
        opened = began + timedelta(minutes=2)
        made = incident_pb2.Incident(
            id=uuid7(opened), tenant_id=tenant, title=title, status=incident_pb2.INCIDENT_STATUS_OPEN,
            started_at=stamp(began), opened_at=stamp(opened), updated_at=stamp(opened), version=1,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip
        self.kept[tenant, made.id] = made
        self.note(made.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, opened, "incident_service", "Opened by an alert.")
        return made

    def note(self, incident_id: str, kind: Kind, at: datetime, actor: str, text: str, url: str = "") -> None:
        """Write a timeline entry."""
        entry = incident_pb2.TimelineEntry(
            id=uuid7(at),
            incident_id=incident_id,
            kind=kind,
            occurred_at=stamp(at),
            actor=actor,
            text=text,
            url=url,
        )
        self.entries.setdefault(incident_id, []).append(entry)

    def _find(self, tenant: str, incident_id: str) -> incident_pb2.Incident:
        self._answer()
        if (tenant, incident_id) not in self.kept:
            raise Refused(RefusalReason.NOT_FOUND, "There is no such incident.")
        return self.kept[tenant, incident_id]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The incident service does not answer.")

    async def open(self, tenant: str, request: contract.OpenIncidentRequest) -> contract.OpenIncidentResponse:
        """Open an incident by hand."""
        self._answer()
        if not request.title or not request.actor:
            raise Refused(RefusalReason.INVALID_ARGUMENT, "title and actor are required")
        made = self.add(tenant, request.title, self.clock.now(), severity=request.severity, services=request.services)
        return contract.OpenIncidentResponse(incident=made)

    async def get(self, tenant: str, request: contract.GetIncidentRequest) -> contract.GetIncidentResponse:
        """Return one incident."""
        return contract.GetIncidentResponse(incident=self._find(tenant, request.id))

    async def list(self, tenant: str, request: contract.ListIncidentsRequest) -> contract.ListIncidentsResponse:
        """List the incidents asked for, two pages at most."""
        self._answer()
        asked = contract.ListIncidentsRequest()
        asked.CopyFrom(request)
        asked.page_token = ""
        if request.page_token and (request.page_token != "second" or asked != self.second_page_of):
            raise Refused(RefusalReason.INVALID_ARGUMENT, "page_token belongs to another listing or filter")
        self.second_page_of = asked
        mine = [i for (t, _), i in self.kept.items() if t == tenant]
        wanted = [i for i in mine if self._asked_for(request, i)]
        wanted.sort(key=lambda i: (_SORTED_BY[request.sort](i), i.id), reverse=request.order != contract.SORT_ORDER_ASC)
        size = request.page_size or 50
        page = wanted[size:] if request.page_token else wanted[:size]
        more = "second" if not request.page_token and len(wanted) > size else ""
        return contract.ListIncidentsResponse(incidents=page, next_page_token=more)

    def _asked_for(self, request: contract.ListIncidentsRequest, incident: incident_pb2.Incident) -> bool:
        opened = incident.opened_at.ToDatetime(UTC)
        named = self.analyses[incident.id].hypotheses if incident.id in self.analyses else ()
        cause = min(named, key=lambda h: h.rank).service if named else ""
        notes = [entry.text for entry in self.entries.get(incident.id, ())]
        return (
            (not request.statuses or incident.status in request.statuses)
            and (not request.severities or incident.severity in request.severities)
            and (not request.services or bool(set(request.services) & {*incident.services, cause}))
            and holds(words(request.q), incident.title, *incident.services, cause, *notes)
            and (not request.HasField("since") or opened >= request.since.ToDatetime(UTC))
            and (not request.HasField("until") or opened < request.until.ToDatetime(UTC))
            and (not request.HasField("last") or opened >= self.clock.now() - request.last.ToTimedelta())
        )

    def _seen(self, tenant: str, incident_id: str, version: int) -> incident_pb2.Incident:
        found = self._find(tenant, incident_id)
        if version and version != found.version:
            raise Refused(RefusalReason.ABORTED, f"The incident has version {found.version}, not {version}.")
        return found

    def _move(self, tenant: str, incident_id: str, version: int, to: int) -> incident_pb2.Incident:
        found = self._seen(tenant, incident_id, version)
        order = [1, 2, 4, 3, 5]  # open, acknowledged, mitigated, resolved, closed
        if order.index(found.status) >= order.index(to):
            raise Refused(RefusalReason.FAILED_PRECONDITION, "The incident is not open any more.")
        found.status = to  # type: ignore[assignment]
        found.version += 1
        return found

    async def acknowledge(
        self, tenant: str, request: contract.AcknowledgeIncidentRequest
    ) -> contract.AcknowledgeIncidentResponse:
        """Take an incident."""
        to = incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED
        found = self._move(tenant, request.id, request.expected_version, to)
        found.acknowledged_by = request.actor
        found.acknowledged_at.CopyFrom(stamp(self.clock.now()))
        text = f"Acknowledged by {request.actor}."
        self.note(found.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, self.clock.now(), request.actor, text)
        return contract.AcknowledgeIncidentResponse(incident=found)

    async def resolve(self, tenant: str, request: contract.ResolveIncidentRequest) -> contract.ResolveIncidentResponse:
        """End an incident."""
        found = self._move(tenant, request.id, request.expected_version, incident_pb2.INCIDENT_STATUS_RESOLVED)
        found.resolved_by = request.actor
        found.resolved_at.CopyFrom(stamp(self.clock.now()))
        text = f"Resolved by {request.actor}. {request.resolution}"
        self.note(found.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, self.clock.now(), request.actor, text)
        return contract.ResolveIncidentResponse(incident=found)

    async def add_note(self, tenant: str, request: contract.AddNoteRequest) -> contract.AddNoteResponse:
        """Write a note."""
        self._find(tenant, request.id)
        self.note(request.id, incident_pb2.TIMELINE_KIND_NOTE, self.clock.now(), request.actor, request.text)
        return contract.AddNoteResponse(entry=self.entries[request.id][-1])

    async def timeline(self, tenant: str, request: contract.ListTimelineRequest) -> contract.ListTimelineResponse:
        """List the timeline."""
        self._find(tenant, request.id)
        return contract.ListTimelineResponse(entries=self.entries[request.id])

    async def hypotheses(self, tenant: str, request: contract.GetHypothesesRequest) -> contract.GetHypothesesResponse:
        """Return the analysis."""
        self._find(tenant, request.id)
        if self.no_analysis:
            raise Refused(RefusalReason.NOT_FOUND, "There is no analysis yet.")
        return contract.GetHypothesesResponse(analysis=self.analysis(request.id, request.version))


class MemoryDeploys:
    """A deploy service in memory."""

    def __init__(self) -> None:
        self.down = False
        self.kept: list[deploy_pb2.Deploy] = []

    def add(self, id: str, service: str, version: str, at: datetime, url: str) -> None:
        """Keep a deploy."""
        self.kept.append(
            deploy_pb2.Deploy(
                id=id, tenant_id=TENANT, service=service, environment="production", version=version,
                revision="9f8e7d6c5b4a39281706f5e4d3c2b1a098765432", status=deploy_pb2.DEPLOY_STATUS_SUCCEEDED,
                provider=deploy_pb2.PROVIDER_GITHUB, repository=f"shop/{service}", actor="mara", url=url,
                started_at=stamp(at), finished_at=stamp(at + timedelta(minutes=1)),
            )
        )  # fmt: skip

    async def list(
        self, tenant: str, request: deploy_contract.ListDeploysRequest
    ) -> deploy_contract.ListDeploysResponse:
        """List deploys of a window."""
        if self.down:
            raise Unavailable("The deploy service does not answer.")
        start, end = request.start_time.ToDatetime(UTC), request.end_time.ToDatetime(UTC)
        found = [
            d
            for d in self.kept
            if d.tenant_id == tenant
            and (not request.services or d.service in request.services)
            and holds(words(request.q), d.service, d.version, d.revision, d.actor, d.repository, d.description)
            and (not request.kinds or (d.kind or deploy_pb2.CHANGE_KIND_DEPLOY) in request.kinds)
            and start <= d.started_at.ToDatetime(UTC) < end
        ]
        return deploy_contract.ListDeploysResponse(deploys=sorted(found, key=lambda d: -d.started_at.seconds))
