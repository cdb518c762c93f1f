"""Tenants beside the one that is looked at, where a caller may choose: which of them have open incidents."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract

from libs.access.identity import CALLER, current_identity
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import Unavailable
from services.console.domain.views import OpenElsewhere
from services.console.ports import Incidents, Refused

MAX_TENANTS = 100
AT_ONCE = 8
COUNTED = 50
GOING_ON = (
    incident_pb2.INCIDENT_STATUS_OPEN, incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED,
    incident_pb2.INCIDENT_STATUS_MITIGATED,
)  # fmt: skip
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Asks for each tenant the caller may choose, as that caller."""

    incidents: Incidents
    tenants: TenantRegistry

    async def __call__(self) -> tuple[OpenElsewhere, ...]:
        """Return the other tenants with open incidents; those that cannot be asked now are left out."""
        caller = current_identity()
        others = [t for t in self.tenants.choices(caller) if t != caller.tenant][:MAX_TENANTS]
        limit = asyncio.Semaphore(AT_ONCE)

        async def ask(tenant: str) -> OpenElsewhere:
            async with limit:
                CALLER.set(replace(caller, tenant=tenant))  # of this task only
                return await self._of(tenant)

        found = await asyncio.gather(*(ask(tenant) for tenant in others))
        return tuple(one for one in found if one.incidents)

    async def _of(self, tenant: str) -> OpenElsewhere:
        request = contract.ListIncidentsRequest(statuses=GOING_ON, page_size=COUNTED)
        try:
            answer = await self.incidents.list(tenant, request)
        except (Refused, Unavailable) as exc:
            log.info("tenant_left_out", tenant=tenant, error=str(exc))
            return OpenElsewhere(tenant, 0, False)
        return OpenElsewhere(tenant, len(answer.incidents), bool(answer.next_page_token))
