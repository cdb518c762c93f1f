"""The look-up "what changed, where and when", and its page tokens."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from libs.kernel.errors import InvalidInput
from libs.kernel.ids import stable_id
from libs.kernel.search import holds
from libs.kernel.timewindow import TimeWindow
from services.deploy_normalizer.domain.deploy import Deploy, Kind, Status

SEARCHED = ("service", "environment", "version", "revision", "repository", "actor", "description")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the last deploy's start and id."""

    started_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class DeployFilter:
    """Which deploys are asked for, besides services; an empty tuple asks for all. Every word must be in a text."""

    environments: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    statuses: tuple[Status, ...] = ()
    words: tuple[str, ...] = ()

    def admits(self, deploy: Deploy) -> bool:
        """Tell whether a deploy is asked for."""
        return (
            (not self.environments or deploy.environment in self.environments)
            and (not self.kinds or deploy.kind in self.kinds)
            and (not self.statuses or deploy.status in self.statuses)
            and holds(self.words, *(getattr(deploy, name) for name in SEARCHED))
        )


@dataclass(frozen=True, slots=True)
class DeployQuery:
    """Deploys of these services (all when empty) that touched a window, from behind a place on."""

    services: tuple[str, ...]
    window: TimeWindow
    after: Place | None = None
    only: DeployFilter = field(default_factory=DeployFilter)


def place_of(deploy: Deploy) -> Place:
    """Return the place of a deploy in the order of answers."""
    return Place(deploy.started_at, deploy.id)


def page_token(query: DeployQuery, place: Place) -> str:
    """Return an opaque token that continues this query, and no other, behind a place."""
    content = [_fingerprint(query), (place.started_at - _EPOCH) // _MICROSECOND, place.id]
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def place_after(query: DeployQuery, token: str) -> Place:
    """Return the place a token stands for; raises InvalidInput when it is not one of this query's."""
    try:
        fingerprint, microseconds, deploy_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        place = Place(_EPOCH + microseconds * _MICROSECOND, deploy_id)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error) as exc:
        raise InvalidInput("page_token", "page_token is not one that this service gave out") from exc
    if fingerprint != _fingerprint(query) or not isinstance(deploy_id, str) or "\x00" in deploy_id:
        raise InvalidInput("page_token", "page_token belongs to another query; keep the rest of the request the same")
    return place


def _fingerprint(query: DeployQuery) -> str:
    window, only = query.window, query.only
    asked = (query.services, only.environments, only.kinds, only.statuses, only.words)
    lists = [json.dumps(sorted(set(names))) for names in asked]
    return stable_id(window.start.isoformat(), window.end.isoformat(), *lists)
