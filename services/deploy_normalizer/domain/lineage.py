"""Where a revision was before it came here: a rollback, a promotion, the same again, or new."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.deploy_normalizer.domain.deploy import Deploy, Status


class Movement(StrEnum):
    """What a deploy does with its revision."""

    UNKNOWN = "unknown"
    NEW = "new"
    REDEPLOY = "redeploy"
    ROLLBACK = "rollback"
    PROMOTION = "promotion"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The movement, and the earlier deploy that shows it; None for what is unknown or new."""

    movement: Movement
    shown_by: Deploy | None = None


def lineage(deploy: Deploy, others: Iterable[Deploy]) -> Lineage:
    """Return how a deploy's revision (its version, where it has none) came here, judged by earlier roll-outs.

    Only deploys of the same tenant and service that had succeeded when this one started count; one superseded since
    has, one that failed has not. A revision that ran in this environment before is a rollback when another came
    between, else a redeploy; one that ran only in other environments is a promotion from the latest of them.
    """
    if not _what(deploy):
        return Lineage(Movement.UNKNOWN)
    earlier = sorted((o for o in others if _before(o, deploy)), key=_ended, reverse=True)
    here = [o for o in earlier if o.environment == deploy.environment]
    if here and _what(here[0]) == _what(deploy):
        return Lineage(Movement.REDEPLOY, here[0])
    for kept, movement in ((here, Movement.ROLLBACK), (earlier, Movement.PROMOTION)):
        same = next((o for o in kept if _what(o) == _what(deploy)), None)
        if same is not None:
            return Lineage(movement, same)
    return Lineage(Movement.NEW)


def _what(deploy: Deploy) -> str:
    return deploy.revision or deploy.version


def _before(other: Deploy, deploy: Deploy) -> bool:
    ran = other.status in (Status.SUCCEEDED, Status.INACTIVE) and other.finished_at is not None
    ours = (other.tenant, other.service) == (deploy.tenant, deploy.service) and other.id != deploy.id
    return ran and ours and other.finished_at is not None and other.finished_at <= deploy.started_at


def _ended(deploy: Deploy) -> tuple[float, str]:
    ended = deploy.finished_at or deploy.updated_at
    return ended.timestamp(), deploy.id
