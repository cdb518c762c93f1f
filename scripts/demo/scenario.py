"""What goes wrong, where and when: drawn from a seed and a chosen cause."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from scripts.demo import world

BAD_DEPLOY = "bad-deploy"
SLOW_DATABASE = "slow-database"
DEAD_DEPENDENCY = "dead-dependency"
CPU_STARVATION = "cpu-starvation"
NO_OUTAGE = "none"

# Where each cause can strike; every candidate carries enough of the traffic to hurt somebody.
CANDIDATES: dict[str, tuple[str, ...]] = {
    BAD_DEPLOY: ("payment", "shipping", "inventory", "catalog", "accounts", "quote", "cart"),
    SLOW_DATABASE: ("catalog-db", "orders-db", "inventory-db", "accounts-db"),
    DEAD_DEPENDENCY: ("payment-gateway", "cart-cache", "accounts-db", "quote", "search", "inventory-db"),
    CPU_STARVATION: ("search", "quote", "inventory", "catalog", "payment"),
    NO_OUTAGE: ("",),
}
CAUSES = tuple(CANDIDATES)


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deploy as the delivery system will report it."""

    service: str
    version: str
    finished_at: datetime
    guilty: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    """One outage: `culprit` is what a person should be told. `noisy` is innocent and always was that noisy."""

    cause: str
    seed: int
    culprit: str
    noisy: str
    onset: datetime
    deployments: tuple[Deployment, ...]

    def broken(self, node: str, at: datetime) -> bool:
        """Tell whether a node is the culprit and the outage has begun."""
        return node == self.culprit and at >= self.onset

    def version(self, service: str, at: datetime) -> str:
        """Return what a service runs at a time: what its last finished deploy brought, else what it began with."""
        deployed = [d.version for d in self.deployments if d.service == service and d.finished_at <= at]
        return deployed[-1] if deployed else _version(random.Random(f"{self.seed}/{service}"), major=0)


def draw(cause: str, seed: int, onset: datetime) -> Scenario:
    """Return the scenario of a cause and seed; raises KeyError for an unknown cause."""
    rng = random.Random(f"{cause}/{seed}")
    culprit = rng.choice(CANDIDATES[cause])
    others = [s for s in world.SERVICES if s not in (culprit, world.ENTRY)]
    noisy, early, late = rng.sample(others, 3)
    deployments = [
        Deployment(early, _version(rng), onset - timedelta(minutes=rng.uniform(15, 40)), guilty=False),
        Deployment(late, _version(rng), onset - timedelta(seconds=rng.uniform(50, 150)), guilty=False),
    ]
    if cause == BAD_DEPLOY:
        deployments.append(Deployment(culprit, _version(rng), onset - timedelta(seconds=rng.uniform(5, 20)), True))
    return Scenario(cause, seed, culprit, noisy, onset, tuple(sorted(deployments, key=lambda d: d.finished_at)))


def _version(rng: random.Random, major: int | None = None) -> str:
    return f"v{rng.randint(1, 4) if major is None else major}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
