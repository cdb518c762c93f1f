"""Where a revision was before it came here: a rollback, a promotion, the same again, or new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Status


@dataclass(frozen=True, slots=True)
class Lineage:
    """The movement, the earlier deploy that shows it, and the one that ran here before; None for what is not known."""

    movement: Movement
    shown_by: Deploy | None = None
    previous: Deploy | None = None


def lineage(deploy: Deploy, others: Iterable[Deploy]) -> Lineage:
    """Return how a deploy's revision (its version, where it has none) came here, judged by earlier roll-outs.

    Only deploys of the same tenant and service that had succeeded when this one started count; one superseded since
    has, one that failed or was skipped has not. A revision that ran in this environment before is a rollback when
    another came between, else a redeploy; one that ran only in other environments is a promotion from the latest.
    """
    if deploy.kind is not Kind.DEPLOY or _never_ran(deploy):
        return Lineage(Movement.UNKNOWN)
    earlier = sorted((o for o in others if _before(o, deploy)), key=_order, reverse=True)
    here = [o for o in earlier if o.environment == deploy.environment]
    previous = here[0] if here else None
    if not _what(deploy):
        return Lineage(Movement.UNKNOWN, None, previous)
    if previous is not None and _what(previous) == _what(deploy):
        return Lineage(Movement.REDEPLOY, previous, previous)
    for kept, movement in ((here, Movement.ROLLBACK), (earlier, Movement.PROMOTION)):
        same = next((o for o in kept if _what(o) == _what(deploy)), None)
        if same is not None:
            return Lineage(movement, same, previous)
    return Lineage(Movement.NEW, None, previous)


def with_lineage(deploy: Deploy, others: Iterable[Deploy]) -> Deploy:
    """Return a deploy with its movement and the ids of the deploys it follows from."""
    found = lineage(deploy, others)
    return replace(
        deploy,
        movement=found.movement,
        previous_id=found.previous.id if found.previous else "",
        source_id=found.shown_by.id if found.shown_by else "",
    )


def moved(changed: Deploy, neighbours: Sequence[Deploy]) -> list[Deploy]:
    """Return the deploys that follow from others than before now that one has changed: itself first, always.

    `neighbours` are deploys of its service from before and after it; each later one is judged anew.
    """
    around = [n for n in neighbours if n.id != changed.id]
    found = [with_lineage(changed, around)]
    everything = [*around, found[0]]
    for later in sorted((n for n in around if n.started_at >= changed.started_at), key=lambda n: (n.started_at, n.id)):
        judged = with_lineage(later, everything)
        if judged != later:
            found.append(judged)
    return found


def _what(deploy: Deploy) -> str:
    return deploy.revision or deploy.version


def _never_ran(deploy: Deploy) -> bool:
    return deploy.status is Status.INACTIVE and deploy.succeeded_at is None


def _before(other: Deploy, deploy: Deploy) -> bool:
    ran = other.status in (Status.SUCCEEDED, Status.INACTIVE) and other.kind is Kind.DEPLOY
    ours = (other.tenant, other.service) == (deploy.tenant, deploy.service) and other.id != deploy.id
    return ran and ours and other.succeeded_at is not None and other.succeeded_at <= deploy.started_at


def _order(deploy: Deploy) -> tuple[datetime, str]:
    return deploy.succeeded_at or deploy.updated_at, deploy.id
