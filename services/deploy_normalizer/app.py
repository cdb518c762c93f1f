"""Composition root: which parts the deploy normalizer is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

import grpc
import structlog
from incidentscope.deploy.v1 import deploy_service_pb2_grpc as pb_grpc

from libs.access.directory import demand_tenant
from libs.access.tenants import TenantRegistry
from libs.kernel.clock import SystemClock
from libs.runtime.access import open_access
from libs.runtime.grpc_server import serve_grpc
from libs.runtime.lifecycle import Lifecycle, run
from libs.runtime.outbox import run_outbox
from libs.runtime.rounds import attempt, attempt_each
from libs.storage.postgres import open_pool
from services.deploy_normalizer.adapters.grpc_api import SERVICE_NAME, DeployServicer
from services.deploy_normalizer.adapters.http import Webhook, webhook_app
from services.deploy_normalizer.adapters.live_kafka import LiveKafka
from services.deploy_normalizer.adapters.postgres import SCHEMA, PostgresDeploys
from services.deploy_normalizer.adapters.rules_file import RulesFile
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.handlers.live import LiveDeploys
from services.deploy_normalizer.handlers.lookup import DeployLookup
from services.deploy_normalizer.handlers.webhooks import ArgocdWebhook, GenericWebhook, GithubWebhook, GitlabWebhook
from services.deploy_normalizer.settings import DeployNormalizerSettings

SERVICE = "deploy_normalizer"
FORGET_EVERY_SECONDS = 3600.0
log = structlog.get_logger()


def main() -> int:
    """Run until stopped; returns the exit code."""
    settings = DeployNormalizerSettings()
    return run(SERVICE, settings, partial(start, settings=settings))


async def start(lifecycle: Lifecycle, settings: DeployNormalizerSettings) -> None:
    """Start everything on the lifecycle; raises IncidentScopeError when a part cannot start."""
    tenants = await open_access(lifecycle)
    rules = RulesFile(settings.deploy_service_rules_file)
    lifecycle.background("rules_file", rules.watch)
    pool = await open_pool(settings.postgres_url, SCHEMA)
    lifecycle.push(pool.close, "postgres")
    deploys = PostgresDeploys(pool, SystemClock())
    run_outbox(lifecycle, settings.postgres_url, SCHEMA, settings.kafka_bootstrap)
    lifecycle.health.check("postgres", deploys.problem)
    lifecycle.background("postgres_watch", deploys.watch)
    lifecycle.background("forget_deliveries", partial(_forget_deliveries, deploys, tenants))
    live = LiveDeploys()
    tail = LiveKafka(settings.kafka_bootstrap, live, asyncio.get_running_loop())
    lifecycle.thread("live_deploys", tail.run, tail.stop)
    servicer = DeployServicer(DeployLookup(deploys), live)
    await serve_grpc(
        lifecycle, settings.deploy_grpc_port, tenants, partial(_add_servicer, servicer), (SERVICE_NAME,)
    )  # fmt: skip
    _check_doors(settings, tenants)
    webhooks = _webhooks(deploys, settings, rules)
    await lifecycle.serve_http(webhook_app(webhooks, tenants, [*lifecycle.health.routes()]), settings.health_port)


def _add_servicer(servicer: DeployServicer, server: grpc.aio.Server) -> None:
    pb_grpc.add_DeployServiceServicer_to_server(servicer, server)


def _webhooks(deploys: PostgresDeploys, settings: DeployNormalizerSettings, rules: RulesFile) -> Mapping[str, Webhook]:
    return {
        "github": GithubWebhook(deploys, settings.github_secrets, settings.github_rules, rules.rules),
        "gitlab": GitlabWebhook(deploys, settings.gitlab_tokens, settings.gitlab_signing, rules.rules),
        "argocd": ArgocdWebhook(deploys, settings.argocd_tokens, rules.rules),
        "generic": GenericWebhook(deploys, settings.generic_secrets, rules.rules),
    }


def _check_doors(settings: DeployNormalizerSettings, tenants: TenantRegistry) -> None:
    """Warn of doors that nobody can enter; raises UnknownTenant where one named does not exist."""
    doors: Mapping[str, tuple[Secrets, ...]] = {
        "github": (settings.github_secrets,),
        "gitlab": (settings.gitlab_tokens, settings.gitlab_signing),
        "argocd": (settings.argocd_tokens,),
        "generic": (settings.generic_secrets,),
    }
    if settings.webhook_tenant:
        demand_tenant(settings.webhook_tenant, tenants.ids, "WEBHOOK_TENANT")
    for provider, kinds in doors.items():
        for tenant in sorted({tenant for secrets in kinds for tenant in secrets.per_tenant}):
            demand_tenant(tenant, tenants.ids, f"webhook secrets of {provider}")
        closed = sorted(tenant for tenant in tenants.ids if not any(secrets.of(tenant) for secrets in kinds))
        if closed:
            log.warning("webhooks_refused", provider=provider, reason="not_configured", tenants=closed[:20])


async def _forget_deliveries(deploys: PostgresDeploys, tenants: TenantRegistry) -> None:
    async def forget() -> None:
        log.info("deliveries_forgotten", count=await deploys.forget_deliveries())

    while True:
        await attempt_each("forget_unread", tenants.ids, deploys.forget_unread)
        await attempt("forget_deliveries", forget)
        await asyncio.sleep(FORGET_EVERY_SECONDS)
