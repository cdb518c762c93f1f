"""Puts the engine together."""

from __future__ import annotations

import asyncio

import grpc

from libs.access.credentials import Credentials
from libs.access.identity import Scope
from libs.access.tenants import TenantRegistry
from libs.kernel.clock import SystemClock
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.dlq import DeadLetters
from libs.messaging.faust_events import build_app, start_faust, subscribe
from libs.messaging.kafka import KafkaProducer, letter_producer
from libs.messaging.topics import INCIDENTS_EVENTS
from libs.runtime.access import open_access, signer_of
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.rounds import attempt, attempt_each, pause
from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.adapters.publisher import KafkaPublisher
from services.correlation_engine.adapters.rpc import GrpcDeploys, GrpcIncidents
from services.correlation_engine.adapters.telemetry import ClickHouseTelemetry
from services.correlation_engine.handlers import Correlator
from services.correlation_engine.settings import Settings
from services.correlation_engine.whereabouts import Assumed, Whereabouts

SERVICE = "correlation_engine"
READS = frozenset({Scope.INCIDENTS_READ, Scope.DEPLOYS_READ})  # what it asks other services for
TICK_SECONDS = 0.25
RECOVERY_RETRY_SECONDS = 2.0
RECOVERY_MOST_SECONDS = 60.0


async def start(lifecycle: Lifecycle) -> None:
    """Start following incidents."""
    settings = lifecycle.settings
    if not isinstance(settings, Settings):
        raise TypeError("correlation_engine needs its own settings")
    clickhouse = ClickHouse(settings.clickhouse_url, pool_size=5)
    lifecycle.push(clickhouse.close, "clickhouse")
    incidents = grpc.aio.insecure_channel(settings.incident_grpc_target)
    deploys = grpc.aio.insecure_channel(settings.deploy_grpc_target)
    lifecycle.push(lambda: incidents.close(None), "incident-channel")
    lifecycle.push(lambda: deploys.close(None), "deploy-channel")
    producer = KafkaProducer(settings.kafka_bootstrap)
    lifecycle.push(producer.close, "producer")
    credentials = Credentials(signer_of(settings), SERVICE, READS)
    telemetry, asked = ClickHouseTelemetry(clickhouse), GrpcIncidents(incidents, credentials.of_service)
    correlator = Correlator(
        telemetry,
        GrpcDeploys(deploys, credentials.of_service),
        asked,
        KafkaPublisher(producer),
        SystemClock(),
        Whereabouts(asked, telemetry, Assumed(settings.outage_environment)),
    )
    letters = letter_producer(settings.kafka_bootstrap)
    lifecycle.push(letters.close, "dead_letters")
    await _run(lifecycle, settings, correlator, DeadLetters(letters))
    await lifecycle.serve_http(lifecycle.health.app(), settings.health_port)


async def _run(lifecycle: Lifecycle, settings: Settings, correlator: Correlator, dead_letters: DeadLetters) -> None:
    tenants = await open_access(lifecycle)

    async def handle(event: CloudEvent) -> None:
        await correlator.on_event(event.data)

    async def work() -> None:
        while True:
            await attempt("analyses", correlator.run_due)
            await asyncio.sleep(TICK_SECONDS)

    lifecycle.background("recovery", lambda: _recover(lifecycle, correlator, tenants))
    lifecycle.background("analyses", work)
    app = build_app(SERVICE, settings.kafka_bootstrap)
    await start_faust(lifecycle, app, subscribe(app, INCIDENTS_EVENTS, handle, dead_letters))


async def _recover(lifecycle: Lifecycle, correlator: Correlator, tenants: TenantRegistry) -> None:
    """List what is open, tenant by tenant, until incident_service has answered for all; only then is the engine ready.

    A tenant it refuses to answer for keeps none of the others waiting; it is asked about again, ever more seldom.
    """
    waiting: dict[str, str] | None = None

    def problem() -> str | None:
        if waiting is None:
            return "the open incidents are not listed yet"
        return next(
            (f"the open incidents of {tenant} are not listed yet: {why}" for tenant, why in waiting.items()), None
        )

    lifecycle.health.check("open-incidents", problem)
    failures = 0
    while waiting is None or waiting:
        asked = tenants.ids if waiting is None else waiting.keys() & tenants.ids
        waiting = await attempt_each("recovery", asked, correlator.recover)
        if waiting:
            await asyncio.sleep(pause(failures, RECOVERY_RETRY_SECONDS, RECOVERY_MOST_SECONDS))
            failures += 1
