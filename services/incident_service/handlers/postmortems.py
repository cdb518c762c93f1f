"""Postmortems: drafted, written, published, archived, and reported when they, or tasks, are late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import Counter

from libs.kernel.errors import Unavailable
from services.incident_service.domain import postmortems, tasks
from services.incident_service.domain.model import Decision, Incident
from services.incident_service.domain.postmortems import Material
from services.incident_service.domain.records import DueKind, Postmortem
from services.incident_service.handlers.writes import NotFound, Writes, carry_out, existing, locked
from services.incident_service.ports import DatedPostmortem, DueItem, PostmortemFilter, Store, Transaction

READ_FOR_DRAFT = 2000  # timeline entries
OVERDUE = Counter("incidentscope_incident_overdue_reported", "Tasks and postmortems reported as late", ["kind"])
UNREPORTED = Counter(
    "incidentscope_incident_overdue_failures_total", "Late tasks and postmortems that could not be reported", ["kind"]
)
log = structlog.get_logger()
SWEEP = 100  # items of one tenant and sweep


class Postmortems:
    """The use cases, over a store."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    async def draft(self, tx: Transaction, incident_id: str, actor: str) -> DatedPostmortem:
        """Draft a postmortem from the timeline; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        existing_one = await tx.postmortem(incident_id)
        material = Material(await tx.timeline(incident_id, READ_FOR_DRAFT), await tx.tasks(incident_id))
        now = self._writes.clock.now()
        return await _written(tx, incident, postmortems.draft(incident, existing_one, material, actor, now))

    async def edit(
        self, tx: Transaction, incident_id: str, sections: Mapping[str, str], actor: str, expected_version: int | None
    ) -> DatedPostmortem:
        """Change sections of a draft; raises NotFound or Refused."""
        incident, postmortem = await _both(tx, incident_id)
        now = self._writes.clock.now()
        decision = postmortems.edit(incident, postmortem, sections, actor, expected_version, now)
        return await _written(tx, incident, decision)

    async def publish(
        self, tx: Transaction, incident_id: str, actor: str, expected_version: int | None
    ) -> DatedPostmortem:
        """Publish a draft; raises NotFound or Refused."""
        incident, postmortem = await _both(tx, incident_id)
        decision = postmortems.publish(incident, postmortem, actor, expected_version, self._writes.clock.now())
        return await _written(tx, incident, decision)

    async def archive(self, tx: Transaction, incident_id: str, actor: str) -> DatedPostmortem:
        """Put a published one away; raises NotFound or Refused."""
        incident, postmortem = await _both(tx, incident_id)
        decision = postmortems.archive(incident, postmortem, actor, self._writes.clock.now())
        return await _written(tx, incident, decision)

    async def get(self, tenant: str, incident_id: str) -> DatedPostmortem:
        """Return a postmortem; raises NotFound, also before it was drafted."""
        found = await self._store.postmortem(tenant, incident_id)
        if found is None:
            existing(await self._store.get(tenant, incident_id), incident_id)
            raise NotFound(f"incident {incident_id} has no postmortem yet")
        return found

    async def list(
        self, tenant: str, wanted: PostmortemFilter, limit: int, older_than: str | None
    ) -> Sequence[DatedPostmortem]:
        """Return postmortems, newest incident first."""
        return await self._store.postmortems(tenant, wanted, limit, older_than)

    async def report_overdue(self, tenant: str) -> int:
        """Report what of a tenant has fallen due, each once; returns how many were reported. Raises Unavailable.

        An item that cannot be reported is told and left for the next sweep: it holds none of the others up.
        """
        reported = 0
        for item in await self._store.due(tenant, SWEEP):
            try:
                reported += await self._report(item)
            except Unavailable:
                raise
            except Exception as exc:
                UNREPORTED.labels(item.kind.value).inc()
                log.error(
                    "overdue_not_reported", tenant=tenant, incident=item.incident_id, error=repr(exc), exc_info=exc
                )
        return reported

    async def _report(self, item: DueItem) -> bool:
        async with self._store.transaction(item.tenant) as tx:
            incident = await tx.lock(item.incident_id)  # first: writers of an item lock the incident too
            if not await tx.take_due(item) or incident is None:
                return False
            now = self._writes.clock.now()
            if item.kind is DueKind.TASK:
                decision = tasks.report_task(incident, await tx.task(item.subject), now)
            else:
                decision = postmortems.report_postmortem(incident, await tx.postmortem(item.incident_id), now)
            await carry_out(tx, decision)
        if decision.change is not None:
            OVERDUE.labels(item.kind.value).inc()
        return decision.change is not None


async def _both(tx: Transaction, incident_id: str) -> tuple[Incident, Postmortem]:
    incident = await locked(tx, incident_id)
    postmortem = await tx.postmortem(incident_id)
    if postmortem is None:
        raise NotFound(f"incident {incident_id} has no postmortem yet")
    return incident, postmortem


async def _written(tx: Transaction, incident: Incident, decision: Decision) -> DatedPostmortem:
    await carry_out(tx, decision)
    postmortem = next(r for r in decision.records if isinstance(r, Postmortem))
    return DatedPostmortem(postmortem, incident.postmortem_due_at)
