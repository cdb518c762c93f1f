"""Events from other services: alert groups and analyses, each acted on once."""

from __future__ import annotations

from datetime import timedelta

from libs.kernel.clock import Clock
from libs.kernel.errors import InvalidInput
from libs.kernel.ids import uuid7
from services.incident_service.domain import alerts
from services.incident_service.domain.alert_group import AlertGroup
from services.incident_service.domain.analysis import Analysis, apply_analysis
from services.incident_service.domain.model import Reason
from services.incident_service.handlers.writes import carry_out
from services.incident_service.ports import GroupAlreadyOpen, Store

CONSUMER = "incident_service"
ATTEMPTS = 3  # at opening the incident of a group that somebody else opens at the same time


class Events:
    """The use cases of events, over a store and a clock.

    Alerts that fire again within `flaps_within` of their end go on with the incident that they had.
    """

    def __init__(self, store: Store, clock: Clock, flaps_within: timedelta = timedelta(minutes=10)) -> None:
        self._store = store
        self._clock = clock
        self._flaps_within = flaps_within

    async def on_alert_group(self, event_id: str, group: AlertGroup) -> Reason | None:
        """Apply a flush of a group once; returns the reason, None when the event was handled before."""
        for _ in range(ATTEMPTS - 1):
            try:
                return await self._apply_group(event_id, group)
            except GroupAlreadyOpen:
                continue
        return await self._apply_group(event_id, group)

    async def _apply_group(self, event_id: str, group: AlertGroup) -> Reason | None:
        async with self._store.transaction(group.tenant) as tx:
            if not await tx.first_time(CONSUMER, event_id):
                return None
            current = await tx.lock_unresolved(group.key)
            last = await tx.lock_last(group.key) if current is None else None
            now = self._clock.now()
            before = alerts.Before(last, self._flaps_within)
            decision = alerts.apply_group(current, group, uuid7(now), now, before)
            await carry_out(tx, decision)
            if decision.incident is not None:
                await tx.keep_alerts(alerts.seen(decision.incident, group, now))
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
            await carry_out(tx, decision)
        return decision.reason
