"""What the handlers need of the outside: a place that keeps deploys."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from services.deploy_normalizer.domain.deploy import Deploy, Provider, Report
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


@dataclass(frozen=True, slots=True)
class Unread:
    """An authentic delivery that could not be read, or not all of it: why, as a label and a sentence, and its bytes."""

    provider: Provider
    delivery: str
    event: str
    reason: str
    problem: str
    body: bytes


class DeployStore(Protocol):
    """Keeps deploys per tenant. Every method raises Unavailable when it cannot answer now."""

    async def record(self, tenant: str, report: Report, delivery: str) -> Recorded:
        """Add a report; a change to its deploy is kept and announced together, or not at all.

        So are the changes this makes to what later deploys of the service follow from (domain/lineage.py).
        `delivery` is the provider's id of this delivery, acted on once; empty where the provider has none.
        """
        ...

    async def keep_unread(self, tenant: str, unread: Unread) -> None:
        """Keep a delivery that could not be read, or count it once more when it is kept already."""
        ...

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None."""
        ...

    async def tells_deployments(self, tenant: str, repository: str) -> bool:
        """Tell whether GitHub reported deployments of a repository in the last 90 days."""
        ...

    async def touching(self, tenant: str, query: DeployQuery, limit: int) -> list[Deploy]:
        """Return up to `limit` deploys that touched the query's window, newest first by start, then by id."""
        ...
