"""The look-up of deploys, page by page."""

from __future__ import annotations

from dataclasses import dataclass

from services.deploy_normalizer.domain.deploy import Deploy
from services.deploy_normalizer.domain.query import DeployQuery, page_token, place_of
from services.deploy_normalizer.ports import DeployStore


@dataclass(frozen=True, slots=True)
class DeployLookup:
    """Answers what changed."""

    store: DeployStore

    async def page(self, tenant: str, query: DeployQuery, size: int) -> tuple[list[Deploy], str]:
        """Return up to `size` deploys, newest first, and the token of the next page or an empty text."""
        found = await self.store.touching(tenant, query, size + 1)
        page, more = found[:size], len(found) > size
        return page, page_token(query, place_of(page[-1])) if more else ""

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None."""
        return await self.store.find(tenant, deploy_id)
