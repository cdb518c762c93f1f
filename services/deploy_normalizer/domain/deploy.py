"""A deploy is what its reports say together: a pure function of the set of reports, whatever order they came in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from libs.kernel.ids import stable_id
from services.deploy_normalizer.domain.previews import is_preview


class Status(StrEnum):
    """How far a deploy has come; the members are ordered by progress."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    INACTIVE = "inactive"

    @property
    def final(self) -> bool:
        """Tell whether nothing more is expected."""
        return self not in (Status.PENDING, Status.IN_PROGRESS)


class Provider(StrEnum):
    """Which delivery system reported."""

    GITHUB = "github"
    ARGOCD = "argocd"
    GITLAB = "gitlab"
    GENERIC = "generic"


class Kind(StrEnum):
    """What kind of change it is; only a deploy or a configuration change alters what runs.

    A preview is a deploy to an environment of a branch or a pull request (domain/previews.py).
    """

    DEPLOY = "deploy"
    CODE_CHANGE = "code_change"
    RELEASE = "release"
    CI_OUTCOME = "ci_outcome"
    CONFIGURATION = "configuration"
    PREVIEW = "preview"


class Movement(StrEnum):
    """What a deploy does with its revision."""

    UNKNOWN = "unknown"
    NEW = "new"
    REDEPLOY = "redeploy"
    ROLLBACK = "rollback"
    PROMOTION = "promotion"


@dataclass(frozen=True, slots=True)
class Report:
    """One thing a delivery system said about one deploy. Instants are by the provider's clock; empty text is unknown.

    `external_id` is the provider's own id of the deploy, unique within the provider. `began_at` is set by reports
    that know when the roll-out itself began, which may be long after it was requested.
    """

    provider: Provider
    external_id: str
    event: str
    status: Status
    at: datetime
    requested_at: datetime
    service: str
    began_at: datetime | None = None
    environment: str = ""
    version: str = ""
    revision: str = ""
    repository: str = ""
    actor: str = ""
    url: str = ""
    description: str = ""
    kind: Kind = Kind.DEPLOY


@dataclass(frozen=True, slots=True)
class Deploy:
    """One change of one service, a deploy to one environment or another kind, as its reports so far tell it.

    `succeeded_at` is when it last succeeded, also where it was superseded since. `movement`, `previous_id` (what ran
    there before) and `source_id` (what shows the movement) follow from other deploys; see domain/lineage.py.
    """

    id: str
    tenant: str
    provider: Provider
    service: str
    environment: str
    version: str
    revision: str
    status: Status
    event: str
    repository: str
    actor: str
    url: str
    description: str
    started_at: datetime
    finished_at: datetime | None
    updated_at: datetime
    kind: Kind = Kind.DEPLOY
    succeeded_at: datetime | None = None
    movement: Movement = Movement.UNKNOWN
    previous_id: str = ""
    source_id: str = ""


def deploy_id(tenant: str, provider: Provider, external_id: str) -> str:
    """Return the id of a deploy: 32 hex digits, the same for every report about it."""
    return stable_id(tenant, provider, external_id)


def combine(tenant: str, reports: Iterable[Report]) -> Deploy:
    """Return the deploy that one or more reports of the same deploy tell of.

    A final status beats any other; otherwise the later report wins, and at one instant the one further along. What
    the winner leaves empty is taken from the report before it.
    """
    ordered = sorted(reports, key=_precedence, reverse=True)
    winner = ordered[0]
    finished = _finished(ordered)
    environment = _first(r.environment for r in ordered)
    return Deploy(
        id=deploy_id(tenant, winner.provider, winner.external_id),
        tenant=tenant,
        provider=winner.provider,
        service=winner.service,
        environment=environment,
        version=_first(r.version for r in ordered),
        revision=_first(r.revision for r in ordered),
        status=winner.status,
        event=winner.event,
        repository=_first(r.repository for r in ordered),
        actor=_first(r.actor for r in ordered),
        url=_first(r.url for r in ordered),
        description=_first(r.description for r in ordered),
        started_at=_started(ordered, finished),
        finished_at=finished,
        updated_at=max(r.at for r in ordered),
        kind=_kind(ordered, environment),
        succeeded_at=max((r.at for r in ordered if r.status is Status.SUCCEEDED), default=None),
    )


def same_reports(one: Deploy, other: Deploy) -> bool:
    """Tell whether two states of a deploy are the same but for what follows from other deploys."""
    return one == replace(other, movement=one.movement, previous_id=one.previous_id, source_id=one.source_id)


def _kind(ordered: list[Report], environment: str) -> Kind:
    """Return the winner's kind, or that it is a preview where one report or the environment's name says so."""
    kind = ordered[0].kind
    preview = is_preview(environment) or any(r.kind is Kind.PREVIEW for r in ordered)
    return Kind.PREVIEW if kind is Kind.DEPLOY and preview else kind


_RANK = {status: rank for rank, status in enumerate(Status)}


def _precedence(report: Report) -> tuple[bool, datetime, int, str]:
    return report.status.final, report.at, _RANK[report.status], report.event


def _finished(ordered: list[Report]) -> datetime | None:
    """The end of the roll-out: its last success or failure. Being superseded later does not move it."""
    ended = [r.at for r in ordered if r.status in (Status.SUCCEEDED, Status.FAILED)]
    if ended:
        return max(ended)
    return min((r.at for r in ordered if r.status.final), default=None)


def _started(ordered: list[Report], finished: datetime | None) -> datetime:
    """When the roll-out began, where any report knows; else when it was requested. Never after it finished."""
    began = [r.began_at for r in ordered if r.began_at is not None]
    started = min(began) if began else min(r.requested_at for r in ordered)
    return started if finished is None else min(started, finished)


def _first(values: Iterable[str]) -> str:
    return next((v for v in values if v), "")
