"""Incidents: opened, moved, merged, and read."""

from __future__ import annotations

from libs.kernel.ids import uuid7
from services.incident_service.domain import lifecycle
from services.incident_service.domain.lifecycle import Move, NewIncident
from services.incident_service.domain.listing import Listing, Place
from services.incident_service.domain.model import Incident
from services.incident_service.handlers.writes import Writes, carry_out, decided, existing, locked
from services.incident_service.ports import NumberedEntry, Store, Transaction


class Incidents:
    """The use cases around an incident's status, over a store."""

    def __init__(self, store: Store, writes: Writes) -> None:
        self._store = store
        self._writes = writes

    async def open(self, tx: Transaction, tenant: str, new: NewIncident) -> Incident:
        """Open an incident by hand."""
        now = self._writes.clock.now()
        decision = lifecycle.open_by_hand(new, tenant, uuid7(now), now)
        await carry_out(tx, decision)
        return decided(decision)

    async def reopen(self, tx: Transaction, incident_id: str, move: Move) -> Incident:
        """Go on with an incident; raises NotFound or Refused."""
        incident = await locked(tx, incident_id)
        other = await tx.lock_unresolved(incident.group_key) if incident.group_key else None
        decision = lifecycle.reopen(incident, move, other, self._writes.clock.now())
        await carry_out(tx, decision)
        return decided(decision)

    async def merge(self, tx: Transaction, source_id: str, target_id: str, move: Move) -> tuple[Incident, Incident]:
        """Merge one incident into another; raises NotFound or Refused."""
        both = {i: await locked(tx, i) for i in sorted({source_id, target_id})}  # always in this order: no deadlock
        source, target = both[source_id], both[target_id]
        closed, grown = lifecycle.merge(source, target, move, self._writes.clock.now())
        await carry_out(tx, *(d for d in (closed, grown) if d is not None))
        if grown is not None:
            await tx.bring_alerts(source, target_id)
        return decided(closed), decided(grown) if grown else target

    async def get(self, tenant: str, incident_id: str) -> Incident:
        """Return one incident; raises NotFound."""
        return existing(await self._store.get(tenant, incident_id), incident_id)

    async def listed(self, tenant: str, wanted: Listing, limit: int, after: Place | None) -> list[Incident]:
        """Return incidents in the order wanted, from behind a place on."""
        return await self._store.listed(tenant, wanted.at(self._writes.clock.now()), limit, after)

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return timeline entries, oldest first; raises NotFound."""
        await self.get(tenant, incident_id)
        return await self._store.timeline(tenant, incident_id, limit, after)
