"""Composition root of the console."""

from __future__ import annotations

import secrets

from libs.access.audit import AuditLog
from libs.access.credentials import Credentials
from libs.access.tenants import TenantRegistry
from libs.access.tokens import Signer
from libs.kernel.clock import SystemClock
from libs.runtime.access import open_access, signer_of
from libs.runtime.lifecycle import Lifecycle
from libs.storage.clickhouse import ClickHouse
from services.console.adapters import http
from services.console.adapters.grpc_clients import GrpcDeploys, GrpcIncidents
from services.console.adapters.http_session import Sessions
from services.console.adapters.http_tenant import TenantChoice
from services.console.adapters.live_kafka import LiveKafka
from services.console.adapters.rollups import Rollups
from services.console.handlers.live import LiveFeed
from services.console.settings import ConsoleSettings

CLICKHOUSE_CONNECTIONS = 8


async def start(lifecycle: Lifecycle, settings: ConsoleSettings) -> None:
    """Start the console. It needs none of its sources to start: a page says which of them is missing."""
    tenants = await open_access(lifecycle)
    credentials = Credentials(signer_of(settings), "console")
    clickhouse = ClickHouse(settings.clickhouse_url, CLICKHOUSE_CONNECTIONS)
    lifecycle.push(clickhouse.close, "clickhouse")
    incidents = GrpcIncidents(settings.incident_grpc_target, settings.call_timeout_s, credentials.of_caller)
    lifecycle.push(incidents.close, "incident client")
    deploys = GrpcDeploys(settings.deploy_grpc_target, settings.call_timeout_s, credentials.of_caller)
    lifecycle.push(deploys.close, "deploy client")
    feed = LiveFeed()
    feed.open()
    live = LiveKafka(settings.kafka_bootstrap, feed)
    lifecycle.thread("live feed", live.run, live.stop)
    app = http.build(
        incidents, deploys, Rollups(clickhouse), feed, tenants, SystemClock(), settings.doors,
        lifecycle.health.routes(), settings.allowed_hosts, _sessions(lifecycle, settings, tenants),
    )  # fmt: skip
    door = TenantChoice(app, tenants) if settings.trust_tenant_header else app
    await lifecycle.serve_http(door, settings.health_port)
    lifecycle.push(feed.close, "live feed watchers")


def _sessions(lifecycle: Lifecycle, settings: ConsoleSettings, tenants: TenantRegistry) -> Sessions:
    audit = AuditLog(settings.postgres_url, "console")
    lifecycle.background("audit", audit.run)
    # Without a secret of the installation sessions end when the console restarts.
    signer = signer_of(settings) or Signer(secrets.token_hex(32))
    return Sessions(tenants, signer, settings.console_url.startswith("https://"), audit.record)
