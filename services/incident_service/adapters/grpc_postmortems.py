"""gRPC: postmortems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.kernel.clock import Clock
from libs.runtime.grpc_server import current_tenant
from services.incident_service.adapters import requests as check
from services.incident_service.adapters.encode import POSTMORTEM_STATUSES, postmortem_message
from services.incident_service.adapters.grpc_calls import reading, writing
from services.incident_service.domain.postmortems import SECTION_CHARS, SECTIONS
from services.incident_service.handlers.postmortems import Postmortems
from services.incident_service.handlers.writes import Writes
from services.incident_service.ports import PostmortemFilter, Transaction

if TYPE_CHECKING:
    Base = incident_service_pb2_grpc.IncidentServiceServicer
else:
    Base = object


class PostmortemRpcs(Base):
    """The rpcs of postmortems."""

    writes: Writes
    postmortems: Postmortems
    clock: Clock

    @writing(rpc.DraftPostmortemResponse)
    async def DraftPostmortem(
        self, request: rpc.DraftPostmortemRequest, tx: Transaction
    ) -> rpc.DraftPostmortemResponse:
        """Draft the postmortem from the timeline."""
        drafted = await self.postmortems.draft(tx, check.incident_id(request.id), check.actor(request.actor))
        return rpc.DraftPostmortemResponse(postmortem=postmortem_message(drafted))

    @reading
    async def GetPostmortem(self, request: rpc.GetPostmortemRequest) -> rpc.GetPostmortemResponse:
        """Return the postmortem."""
        found = await self.postmortems.get(current_tenant(), check.incident_id(request.id))
        return rpc.GetPostmortemResponse(postmortem=postmortem_message(found))

    @writing(rpc.UpdatePostmortemResponse)
    async def UpdatePostmortem(
        self, request: rpc.UpdatePostmortemRequest, tx: Transaction
    ) -> rpc.UpdatePostmortemResponse:
        """Change sections of a draft."""
        names = check.paths(request.update_mask, SECTIONS)
        sections = {
            name: check.text(name, getattr(request.postmortem, name), SECTION_CHARS, required=False) for name in names
        }
        edited = await self.postmortems.edit(
            tx, check.incident_id(request.id), sections, check.actor(request.actor),
            check.expected_version(request.expected_version),
        )  # fmt: skip
        return rpc.UpdatePostmortemResponse(postmortem=postmortem_message(edited))

    @writing(rpc.PublishPostmortemResponse)
    async def PublishPostmortem(
        self, request: rpc.PublishPostmortemRequest, tx: Transaction
    ) -> rpc.PublishPostmortemResponse:
        """Publish a draft."""
        actor, version = check.actor(request.actor), check.expected_version(request.expected_version)
        published = await self.postmortems.publish(tx, check.incident_id(request.id), actor, version)
        return rpc.PublishPostmortemResponse(postmortem=postmortem_message(published))

    @writing(rpc.ArchivePostmortemResponse)
    async def ArchivePostmortem(
        self, request: rpc.ArchivePostmortemRequest, tx: Transaction
    ) -> rpc.ArchivePostmortemResponse:
        """Put a published postmortem away."""
        archived = await self.postmortems.archive(tx, check.incident_id(request.id), check.actor(request.actor))
        return rpc.ArchivePostmortemResponse(postmortem=postmortem_message(archived))

    @reading
    async def ListPostmortems(self, request: rpc.ListPostmortemsRequest) -> rpc.ListPostmortemsResponse:
        """List postmortems, newest incident first."""
        statuses = check.some_of("statuses", request.statuses, POSTMORTEM_STATUSES)
        wanted = PostmortemFilter(statuses, self.clock.now() if request.overdue else None)
        size = check.page_size(request.page_size, most=500, usual=50)
        scope = f"postmortems {','.join(statuses)} {request.overdue}"
        older_than = check.incident_position(scope, request.page_token)
        found = await self.postmortems.list(current_tenant(), wanted, size + 1, older_than)
        token = check.page_token(scope, found[size - 1].postmortem.incident_id) if len(found) > size else ""
        listed = [postmortem_message(p) for p in found[:size]]
        return rpc.ListPostmortemsResponse(postmortems=listed, next_page_token=token)
