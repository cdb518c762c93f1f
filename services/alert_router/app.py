"""Puts the router together."""

from __future__ import annotations

from libs.access.tenants import TenantRegistry
from libs.kernel.clock import SystemClock
from libs.messaging import topics
from libs.messaging.dlq import DeadLetters
from libs.messaging.faust_events import build_app, on_assignment, start_faust, subscribe
from libs.messaging.kafka import KafkaProducer, letter_producer
from libs.runtime.access import open_access
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.outbox import run_outbox
from libs.storage.postgres import open_pool
from services.alert_router.adapters.broker_watch import BrokerWatch
from services.alert_router.adapters.conventions_file import load_conventions
from services.alert_router.adapters.http import Doors, build
from services.alert_router.adapters.postgres import PostgresAlertStore
from services.alert_router.adapters.publisher import KafkaAlertPublisher
from services.alert_router.adapters.timers import FlushTimer
from services.alert_router.domain.arrival import Door
from services.alert_router.domain.conventions import Conventions
from services.alert_router.domain.listening import Listening
from services.alert_router.handlers import FlushGroups, ReceiveAlerts, RouteAlert
from services.alert_router.settings import AlertRouterSettings

SERVICE = "alert_router"
SCHEMA = "alert"


async def start(lifecycle: Lifecycle, settings: AlertRouterSettings) -> None:
    """Start the doors, the agent, the flush timer and the outbox relay; raises ConventionsInvalid."""
    conventions = load_conventions(settings.alert_conventions_file, settings.service_labels)
    tenants = await open_access(lifecycle)
    producer = KafkaProducer(settings.kafka_bootstrap)
    lifecycle.push(producer.close, "producer")
    clock = SystemClock()
    listening = Listening(clock.now())
    lifecycle.background("broker_watch", BrokerWatch(producer, listening, clock).run)
    await _start_routing(lifecycle, settings, conventions, tenants, listening)
    doors = Doors(
        ReceiveAlerts(KafkaAlertPublisher(producer, conventions), clock, listening),
        tenants,
        Door("alertmanager", settings.alert_webhook_resolve_timeout, conventions),
        Door("prometheus", settings.alert_resolve_timeout, conventions),
        settings.alert_max_body_bytes,
    )
    await lifecycle.serve_http(build(doors, lifecycle.health.routes()), settings.health_port)
    listening.interrupted(clock.now())  # the doors were closed until now


async def _start_routing(
    lifecycle: Lifecycle,
    settings: AlertRouterSettings,
    conventions: Conventions,
    tenants: TenantRegistry,
    listening: Listening,
) -> None:
    pool = await open_pool(settings.postgres_url, SCHEMA)
    lifecycle.push(pool.close, "postgres")
    store, clock = PostgresAlertStore(pool), SystemClock()
    run_outbox(lifecycle, settings.postgres_url, SCHEMA, settings.kafka_bootstrap)
    timer = FlushTimer(
        FlushGroups(store, settings.route, conventions, clock, listening),
        lambda: tenants.ids,
        settings.alert_start_delay.total_seconds(),
        listening,
        clock,
    )
    lifecycle.health.check("flushes", timer.problem)
    lifecycle.background("flush_timer", timer.run)
    app = build_app(SERVICE, settings.kafka_bootstrap)
    route = RouteAlert(store, settings.route, conventions, tenants.known, clock, listening)
    letters = letter_producer(settings.kafka_bootstrap)
    lifecycle.push(letters.close, "dead_letters")
    listening.closed()
    on_assignment(app, listening.closed, lambda: listening.opened(clock.now()))
    agent = subscribe(app, topics.ALERTS_EVENTS, route, DeadLetters(letters))
    await start_faust(lifecycle, app, agent)
