"""Use cases: read the state, let the domain decide, write what it decided."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import Counter

from libs.kernel.clock import Clock
from libs.kernel.errors import IncidentScopeError, InvalidInput
from libs.kernel.ids import uuid7
from services.incident_service.domain import alerts, lifecycle
from services.incident_service.domain.analysis import Analysis, apply_analysis
from services.incident_service.domain.model import Decision, Entry, Incident, Reason, Status
from services.incident_service.ports import GroupAlreadyOpen, NumberedEntry, Store, Transaction

CONSUMER = "incident_service"
ATTEMPTS = 3  # at opening the incident of a group that somebody else opens at the same time
DECISIONS = Counter("incidentscope_incident_decisions", "Decisions about incidents", ["reason"])


class NotFound(IncidentScopeError):
    """The tenant has no such incident, or it has no analysis yet."""


class Refused(IncidentScopeError):
    """The incident's state forbids the request; `reason` says why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Incidents:
    """The use cases, over a store and a clock."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def open(self, tenant: str, new: lifecycle.NewIncident) -> Incident:
        """Open an incident by hand."""
        now = self._clock.now()
        decision = lifecycle.open_by_hand(new, tenant, uuid7(now), now)
        async with self._store.transaction(tenant) as tx:
            await _carry_out(tx, decision)
        return _written(decision)

    async def acknowledge(self, tenant: str, incident_id: str, actor: str, expected_version: int | None) -> Incident:
        """Take an incident; raises NotFound or Refused."""
        async with self._store.transaction(tenant) as tx:
            incident = await _locked(tx, incident_id)
            decision = lifecycle.acknowledge(incident, actor, expected_version, self._clock.now())
            await _carry_out(tx, decision)
        return _written(decision)

    async def resolve(
        self, tenant: str, incident_id: str, actor: str, resolution: str, expected_version: int | None
    ) -> Incident:
        """End an incident; raises NotFound or Refused."""
        async with self._store.transaction(tenant) as tx:
            incident = await _locked(tx, incident_id)
            decision = lifecycle.resolve(incident, actor, resolution, expected_version, self._clock.now())
            await _carry_out(tx, decision)
        return _written(decision)

    async def add_note(self, tenant: str, incident_id: str, actor: str, text: str) -> Entry:
        """Write a note; raises NotFound."""
        async with self._store.transaction(tenant) as tx:
            incident = await _locked(tx, incident_id)
            (entry,) = await _carry_out(tx, lifecycle.add_note(incident, actor, text, self._clock.now()))
        return entry

    async def get(self, tenant: str, incident_id: str) -> Incident:
        """Return one incident; raises NotFound."""
        return _existing(await self._store.get(tenant, incident_id), incident_id)

    async def newest(
        self, tenant: str, statuses: Sequence[Status], limit: int, older_than: str | None
    ) -> list[Incident]:
        """Return incidents, newest first."""
        return await self._store.newest(tenant, statuses, limit, older_than)

    async def timeline(self, tenant: str, incident_id: str, limit: int, after: int) -> list[NumberedEntry]:
        """Return timeline entries, oldest first; raises NotFound."""
        await self.get(tenant, incident_id)
        return await self._store.timeline(tenant, incident_id, limit, after)

    async def analysis(self, tenant: str, incident_id: str) -> bytes:
        """Return the latest analysis as received; raises NotFound, also while there is none."""
        encoded = await self._store.analysis(tenant, incident_id)
        if encoded is not None:
            return encoded
        await self.get(tenant, incident_id)
        raise NotFound(f"incident {incident_id} has not been analysed yet")

    async def on_alert_group(self, event_id: str, group: alerts.AlertGroup) -> Reason | None:
        """Apply a flush of a group once; returns the reason, None when the event was handled before."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._apply_group(event_id, group)
            except GroupAlreadyOpen:
                continue
        return await self._apply_group(event_id, group)

    async def _apply_group(self, event_id: str, group: alerts.AlertGroup) -> Reason | None:
        async with self._store.transaction(group.tenant) as tx:
            if not await tx.first_time(CONSUMER, event_id):
                return None
            current = await tx.lock_unresolved(group.key)
            now = self._clock.now()
            decision = alerts.apply_group(current, group, uuid7(now), now)
            await _carry_out(tx, decision)
        return decision.reason

    async def on_analysis(self, event_id: str, tenant: str, found: Analysis, encoded: bytes) -> Reason | None:
        """Apply an analysis once; raises InvalidInput when the tenant has no such incident."""
        async with self._store.transaction(tenant) as tx:
            if not await tx.first_time(CONSUMER, event_id):
                return None
            incident = await tx.lock(found.incident_id)
            if incident is None:
                raise InvalidInput("unknown_incident", f"the tenant has no incident {found.incident_id}")
            latest = await tx.latest_analysis(found.incident_id)
            decision = apply_analysis(incident, found, latest, self._clock.now())
            if decision.reason is not Reason.OLD_ANALYSIS:
                await tx.keep_analysis(found, encoded)
            await _carry_out(tx, decision)
        return decision.reason


async def _carry_out(tx: Transaction, decision: Decision) -> tuple[Entry, ...]:
    DECISIONS.labels(decision.reason.value).inc()
    if decision.refused:
        raise Refused(decision.reason, decision.message)
    return await tx.write(decision) if decision.change is not None else ()


async def _locked(tx: Transaction, incident_id: str) -> Incident:
    return _existing(await tx.lock(incident_id), incident_id)


def _existing(incident: Incident | None, incident_id: str) -> Incident:
    if incident is None:
        raise NotFound(f"there is no incident {incident_id}")
    return incident


def _written(decision: Decision) -> Incident:
    if decision.incident is None:
        raise ValueError(f"a decision without an incident: {decision.reason}")
    return decision.incident
