"""How a service comes to know tenants and keys: from a file where one is set, else from Postgres."""

from __future__ import annotations

from pathlib import Path

from libs.access.directory import Snapshot
from libs.access.identity import Role
from libs.access.postgres import DirectoryFeed, read_once
from libs.access.tenants import TenantRegistry
from libs.access.tokens import Signer
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.settings import ServiceSettings

START_SECONDS = 60.0


async def open_access(lifecycle: Lifecycle) -> TenantRegistry:
    """Return the registry once tenants and keys are known; raises Unavailable or TenantsFileInvalid."""
    settings = lifecycle.settings
    source: Path | DirectoryFeed
    if settings.tenants_file is not None:
        source = settings.tenants_file
    else:
        source = DirectoryFeed(settings.postgres_url, settings.access_most_stale_seconds)
        lifecycle.health.check("access", source.problem)
        lifecycle.background("access", source.run)
        await source.loaded(START_SECONDS)
    role, signer = Role(settings.anonymous_role), signer_of(settings)
    return TenantRegistry(source, settings.anonymous_tenant, settings.trust_tenant_header, role, signer)


def tenants_now(settings: ServiceSettings) -> TenantRegistry:
    """Return the registry as it is now, for a command that ends soon; raises Unavailable or TenantsFileInvalid."""
    source = settings.tenants_file or Snapshot(read_once(settings.postgres_url))
    return TenantRegistry(source, settings.anonymous_tenant, settings.trust_tenant_header)


def signer_of(settings: ServiceSettings) -> Signer | None:
    """Return what signs calls between services, where a secret is set; raises ValueError for a short one."""
    secret = settings.service_secret.get_secret_value()
    return Signer(secret) if secret else None
