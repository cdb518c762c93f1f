"""What the handlers need of the outside: a place that keeps deploys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.deploy_normalizer.domain.deploy import Deploy, Report
from services.deploy_normalizer.domain.query import DeployQuery


class Effect(StrEnum):
    """What recording a report did."""

    RECORDED = "recorded"
    UNCHANGED = "unchanged"
    DUPLICATE_DELIVERY = "duplicate_delivery"


@dataclass(frozen=True, slots=True)
class Recorded:
    """The effect of a report, and the deploy as it now is; None for a delivery seen before."""

    effect: Effect
    deploy: Deploy | None


class DeployStore(Protocol):
    """Keeps deploys per tenant. Every method raises Unavailable when it cannot answer now."""

    async def record(self, tenant: str, report: Report, delivery: str) -> Recorded:
        """Add a report; a change to its deploy is kept and announced together, or not at all.

        `delivery` is the provider's id of this delivery, acted on once; empty where the provider has none.
        """
        ...

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None."""
        ...

    async def touching(self, tenant: str, query: DeployQuery, limit: int) -> list[Deploy]:
        """Return up to `limit` deploys that touched the query's window, newest first by start, then by id."""
        ...
