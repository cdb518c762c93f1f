"""What the router does: receives alerts, groups them, flushes groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Histogram

from libs.kernel.clock import Clock
from libs.kernel.errors import IncidentScopeError, InvalidInput, Unavailable
from libs.kernel.ids import uuid7
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.ports import DeliveryFailed
from services.alert_router.decode.events import from_event, notified
from services.alert_router.decode.json_body import Batch
from services.alert_router.domain import grouping
from services.alert_router.domain.alert import Alert, State, receive
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.flush import Flush
from services.alert_router.domain.listening import Listening
from services.alert_router.domain.no_data import Heard, look
from services.alert_router.domain.route import Group, Route, group_of
from services.alert_router.ports import AlertPublisher, AlertStore, Session

log = structlog.get_logger()
SOURCE = "/services/alert_router"
KEEP_ENDED_ALERTS = timedelta(minutes=30)  # so that a late version still joins the episode it belongs to
KEEP_LOG = timedelta(hours=120)
RECEIVED = Counter("incidentscope_alert_router_received_total", "Alerts received over HTTP", ["source", "outcome"])
FLUSHES = Counter("incidentscope_alert_router_flushes_total", "Looks at a group, by what was decided", ["decision"])
DELAY = Histogram(
    "incidentscope_alert_router_routing_delay_seconds", "From an alert's receipt to its place in a group",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300),
)  # fmt: skip

Decode = Callable[[bytes, Door, datetime], Batch]


class GroupsNotFlushed(IncidentScopeError):
    """Groups could not be flushed by themselves; the others of their tenant were."""


class ReceiveAlerts:
    """Takes what came through a door and returns once all usable alerts are safe."""

    def __init__(self, publisher: AlertPublisher, clock: Clock, listening: Listening) -> None:
        self._publisher = publisher
        self._clock = clock
        self._listening = listening

    async def __call__(self, tenant: str, body: bytes, decode: Decode, door: Door) -> Batch:
        """Return what was published and what was not; raises InvalidInput or DeliveryFailed, then nothing is safe."""
        now = self._clock.now()
        batch = decode(body, door, now)
        if batch.alerts:
            await self._publish(tenant, batch, now)
        RECEIVED.labels(door.source, "accepted").inc(len(batch.alerts))
        for rejected in batch.rejected:
            RECEIVED.labels(door.source, rejected.reason).inc()
        return batch

    async def _publish(self, tenant: str, batch: Batch, now: datetime) -> None:
        try:
            await self._publisher.publish(tenant, batch.alerts, now)
        except DeliveryFailed:
            self._listening.interrupted(self._clock.now())
            raise


@dataclass(frozen=True, slots=True)
class RouteAlert:
    """Puts an alert into its group, once for each event."""

    store: AlertStore
    route: Route
    conventions: Conventions
    known_tenant: Callable[[str], bool]
    clock: Clock
    listening: Listening

    async def __call__(self, event: CloudEvent) -> None:
        """Act on one AlertReceived; raises InvalidInput when it never can be, Unavailable when not now."""
        if not self.known_tenant(event.tenant):
            raise InvalidInput("unknown_tenant", f"no tenant is called {event.tenant[:64]!r}")
        received = from_event(event, self.conventions.naming)
        now = self.clock.now()
        self.listening.received(event.time, now)
        if self.conventions.inhibitor(received):
            return
        group = group_of(received, self.route, alone=self.conventions.heartbeat(received))
        async with self.store.session(event.tenant) as session:
            if not await session.first_time(event.id):
                return
            clock = await session.join(group)
            alert = receive(await session.alert(received.fingerprint), received, now)
            await session.keep(alert, group, grouping.on_alert(clock, alert.starts_at, now, self.route))
        DELAY.observe(max(0.0, (now - event.time).total_seconds()))


@dataclass(frozen=True, slots=True)
class FlushGroups:
    """Looks at the groups whose clock has run out."""

    store: AlertStore
    route: Route
    conventions: Conventions
    clock: Clock
    listening: Listening

    async def __call__(self, tenant: str) -> int:
        """Flush what is due for a tenant, each group in a transaction of its own, and return how many were told.

        A group that fails holds none of the others up; raises Unavailable, or at the end GroupsNotFlushed.
        """
        told = 0
        failed: list[str] = []
        for group_id in await self.store.due_groups(tenant, self.clock.now()):
            try:
                told += await self._flush(tenant, group_id)
            except Unavailable:
                raise
            except Exception as exc:
                FLUSHES.labels("failed").inc()
                log.error("group_not_flushed", tenant=tenant, group=group_id, error=repr(exc), exc_info=exc)
                failed.append(f"{group_id}: {exc!r}")
        if failed:
            raise GroupsNotFlushed(f"{len(failed)} groups, the first is {failed[0]}")
        return told

    async def forget(self, tenant: str) -> None:
        """Delete what nobody will ask for again."""
        keep_log = max(KEEP_LOG, 2 * self.route.repeat_interval)
        await self.store.forget(tenant, self.clock.now(), KEEP_ENDED_ALERTS, keep_log)

    async def _flush(self, tenant: str, group_id: str) -> bool:
        now = self.clock.now()
        async with self.store.session(tenant) as session:
            due = await session.due(group_id, now)
            if due is None:
                return False
            heard = Heard(self.listening.since(now), await _senders(session, due.alerts, now))
            outcome = look(due.alerts, due.entry, now, self.route, heard, self.conventions.heartbeat)
            await session.flushed(due.group, outcome.gone, outcome.entry, outcome.clock)
            if outcome.decision.notify:
                await self._tell(session, tenant, due.group, outcome, now)
        FLUSHES.labels(outcome.decision.value).inc()
        return outcome.decision.notify

    async def _tell(self, session: Session, tenant: str, group: Group, outcome: Flush, now: datetime) -> None:
        message = notified(group, outcome, tenant, self.route.receiver, now, self.conventions)
        await session.tell(group, CloudEvent(uuid7(now), SOURCE, now, group.key, tenant, message))
        log.info(
            "group_notified", tenant=tenant, group_key=group.key, reason=outcome.decision.value,
            firing=len(outcome.firing), resolved=len(outcome.resolved), silent=len(outcome.silent),
            truncated=message.truncated_alerts,
        )  # fmt: skip


async def _senders(session: Session, alerts: Sequence[Alert], now: datetime) -> dict[str, datetime]:
    """Return when the senders of alerts that have run out were last heard."""
    silent = [a for a in alerts if a.resolved_at(now) and a.state(now) is State.NO_DATA]
    heard = {a.fingerprint: await session.sender_heard(a) for a in silent}
    return {fingerprint: at for fingerprint, at in heard.items() if at}
