"""Composition root: the only place that names concrete classes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from incidentscope.incident.v1 import incident_service_pb2_grpc

from libs.access.tenants import TenantRegistry
from libs.kernel.clock import SystemClock
from libs.messaging import faust_events, topics
from libs.messaging.dlq import DeadLetters
from libs.messaging.kafka import letter_producer
from libs.runtime.access import open_access
from libs.runtime.grpc_server import serve_grpc
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.outbox import run_outbox
from libs.runtime.rounds import attempt, attempt_each, pause
from libs.storage import inbox
from libs.storage.outbox_relay import RelayOptions
from libs.storage.postgres import Pool, open_pool
from services.incident_service.adapters.grpc_service import SERVICE_NAME, IncidentServicer
from services.incident_service.adapters.live_events import LiveEvents
from services.incident_service.adapters.postgres_hypotheses import PostgresHypotheses
from services.incident_service.adapters.postgres_store import PostgresStore
from services.incident_service.adapters.sandbox import SandboxRenderer
from services.incident_service.adapters.subscriber import Subscriber
from services.incident_service.handlers.communication import Communication
from services.incident_service.handlers.events import Events
from services.incident_service.handlers.hypotheses import Hypotheses
from services.incident_service.handlers.incidents import Incidents
from services.incident_service.handlers.postmortems import Postmortems
from services.incident_service.handlers.response import Response
from services.incident_service.handlers.watch import Watches
from services.incident_service.handlers.writes import Writes
from services.incident_service.settings import Settings

SCHEMA = "incident"
REMEMBER_EVENTS = timedelta(days=100)  # longer than correlation.hypotheses keeps its messages
FORGET_EVERY_SECONDS = 3600.0
RETRY_SECONDS = 5.0  # after a failed round, then twice as long each time


async def start(lifecycle: Lifecycle) -> None:
    """Open the stores, then the doors."""
    settings = lifecycle.settings
    if not isinstance(settings, Settings):
        raise TypeError(f"expected the incident service's settings, not {type(settings).__name__}")
    await lifecycle.serve_http(lifecycle.health.app(), settings.health_port)
    pool = await open_pool(settings.postgres_url, SCHEMA)
    lifecycle.push(pool.close, "postgres")
    store, clock = PostgresStore(pool), SystemClock()
    _relay(lifecycle, settings)
    lifecycle.background("forget_events", lambda: _forget_events(pool))
    await _subscribe(lifecycle, settings, Events(store, clock, timedelta(seconds=settings.incident_flap_seconds)))
    servicer = _servicer(pool, store, clock, settings)
    live = LiveEvents(settings.kafka_bootstrap, servicer.watches)
    lifecycle.thread("live_events", live.run, live.stop)
    tenants = await open_access(lifecycle)
    lifecycle.background("report_overdue", lambda: _report_overdue(servicer.postmortems, tenants, settings))
    await serve_grpc(
        lifecycle,
        settings.incident_grpc_port,
        tenants,
        lambda server: incident_service_pb2_grpc.add_IncidentServiceServicer_to_server(servicer, server),
        [SERVICE_NAME],
    )
    lifecycle.push(servicer.watches.close, "watches")  # ends the streams, so that the server can stop


def _servicer(pool: Pool, store: PostgresStore, clock: SystemClock, settings: Settings) -> IncidentServicer:
    writes = Writes(store, clock)
    return IncidentServicer(
        writes=writes,
        incidents=Incidents(store, writes),
        responses=Response(store, writes),
        communication=Communication(store, SandboxRenderer(), clock, settings.console_url),
        postmortems=Postmortems(store, writes),
        watches=Watches(),
        hypotheses=Hypotheses(PostgresHypotheses(pool), writes),
        clock=clock,
    )


def _relay(lifecycle: Lifecycle, settings: Settings) -> None:
    options = RelayOptions(lagging_after=settings.outbox_lagging_seconds)
    run_outbox(lifecycle, settings.postgres_url, SCHEMA, settings.kafka_bootstrap, options)


async def _subscribe(lifecycle: Lifecycle, settings: Settings, events: Events) -> None:
    producer = letter_producer(settings.kafka_bootstrap)
    lifecycle.push(producer.close, "dead_letters")
    dead_letters = DeadLetters(producer)
    subscriber = Subscriber(events)
    app = faust_events.build_app("incident_service", settings.kafka_bootstrap)
    subscriptions = [
        faust_events.subscribe(app, topics.ALERTS_NOTIFICATIONS, subscriber.on_alert_group, dead_letters),
        faust_events.subscribe(app, topics.CORRELATION_HYPOTHESES, subscriber.on_hypotheses, dead_letters),
    ]
    await faust_events.start_faust(lifecycle, app, *subscriptions)


async def _forget_events(pool: Pool) -> None:
    async def forget() -> None:
        async with pool.connection() as conn:
            await inbox.forget(conn, REMEMBER_EVENTS)

    failures = 0
    while True:
        if await attempt("forget_events", forget):
            await asyncio.sleep(pause(failures, RETRY_SECONDS, FORGET_EVERY_SECONDS))
            failures += 1
        else:
            failures = 0
            await asyncio.sleep(FORGET_EVERY_SECONDS)


async def _report_overdue(postmortems: Postmortems, tenants: TenantRegistry, settings: Settings) -> None:
    while True:
        await attempt_each("report_overdue", tenants.ids, postmortems.report_overdue)
        await asyncio.sleep(settings.overdue_sweep_seconds)
