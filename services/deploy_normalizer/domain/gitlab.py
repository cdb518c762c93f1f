"""GitLab webhooks to reports: `deployment` is a deploy, `pipeline` the outcome of CI.

The service is what the mapping rules say of the project's path and the environment, else the project's own name: the
last step of its path. Ids are unique within one GitLab, so its host is part of ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from services.deploy_normalizer.domain.deploy import Kind, Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    Json,
    identifier,
    instant_of,
    link,
    lookup,
    one_of,
    optional_instant,
    optional_text,
    prose,
    required_instant,
    required_text,
    section,
)
from services.deploy_normalizer.domain.mapping import ServiceRules, Subject
from services.deploy_normalizer.domain.refs import version_of

DEPLOYMENT_STATUSES: Mapping[str, Status] = {
    "created": Status.PENDING,
    "blocked": Status.PENDING,
    "running": Status.IN_PROGRESS,
    "canceling": Status.IN_PROGRESS,
    "success": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "canceled": Status.FAILED,  # it may have rolled out in part
    "skipped": Status.INACTIVE,
}
PIPELINE_STATUSES: Mapping[str, Status] = {
    "created": Status.PENDING,
    "waiting_for_resource": Status.PENDING,
    "waiting_for_callback": Status.PENDING,
    "preparing": Status.PENDING,
    "pending": Status.PENDING,
    "manual": Status.PENDING,
    "scheduled": Status.PENDING,
    "running": Status.IN_PROGRESS,
    "canceling": Status.IN_PROGRESS,
    "success": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "canceled": Status.INACTIVE,
    "skipped": Status.INACTIVE,
}
_ZONED = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) (UTC|[+-]\d{4})$")
_COMMIT = re.compile(r"/commit/([0-9a-f]{40,64})$")


class Ignored(StrEnum):
    """Why an authentic webhook tells of no change."""

    UNSUPPORTED_EVENT = "unsupported_event"


def event_of(body: Json) -> str:
    """Return `object_kind`; raises MissingField or BadField."""
    return required_text(body, "object_kind")


def read(body: Json, rules: ServiceRules) -> Report | Ignored:
    """Return what a webhook reports, told by its `object_kind`; raises MissingField or BadField."""
    match event_of(body):
        case "deployment":
            return _deployment(body, rules)
        case "pipeline":
            return _pipeline(body, rules)
        case _:
            return Ignored.UNSUPPORTED_EVENT


def _deployment(body: Json, rules: ServiceRules) -> Report:
    at = _instant(body, "status_changed_at")
    status = one_of(body, "status", DEPLOYMENT_STATUSES)
    commit = link(body, "commit_url")
    revision = _COMMIT.search(urlsplit(commit).path)
    environment = optional_text(body, "environment")
    return Report(
        provider=Provider.GITLAB,
        external_id=f"{_host(body)}/deployment/{identifier(body, 'deployment_id')}",
        event="deployment",
        status=status,
        at=at,
        requested_at=at,
        began_at=at if status is Status.IN_PROGRESS else None,
        service=_service(body, environment, rules),
        environment=environment,
        version=version_of(optional_text(body, "ref")),
        revision=revision[1] if revision else optional_text(body, "short_sha"),
        repository=required_text(body, "project.path_with_namespace"),
        actor=optional_text(body, "user.username"),
        url=link(body, "deployable_url") or commit,
        description=prose(body, "commit_title"),
    )


def _pipeline(body: Json, rules: ServiceRules) -> Report:
    section(body, "object_attributes")
    created = _instant(body, "object_attributes.created_at")
    status = one_of(body, "object_attributes.status", PIPELINE_STATUSES)
    finished = _optional_instant(body, "object_attributes.finished_at") if status.final else None
    page = link(body, "project.web_url")
    number = identifier(body, "object_attributes.id")
    return Report(
        provider=Provider.GITLAB,
        external_id=f"{_host(body)}/pipeline/{number}",
        event="pipeline",
        status=status,
        at=finished or created,
        requested_at=created,
        service=_service(body, "", rules),
        version=_pipeline_version(body),
        revision=optional_text(body, "object_attributes.sha"),
        repository=required_text(body, "project.path_with_namespace"),
        actor=optional_text(body, "user.username"),
        url=link(body, "object_attributes.url") or (f"{page}/-/pipelines/{number}" if page else ""),
        description=optional_text(body, "object_attributes.name") or prose(body, "commit.title"),
        kind=Kind.CI_OUTCOME,
    )


def _pipeline_version(body: Json) -> str:
    ref = optional_text(body, "object_attributes.ref")
    return ref if lookup(body, "object_attributes.tag") is True else version_of(ref)


def _service(body: Json, environment: str, rules: ServiceRules) -> str:
    project = required_text(body, "project.path_with_namespace")
    found = rules.services(Subject(Provider.GITLAB, repository=project, environment=environment))
    return found[0] if found else project.rpartition("/")[2]


def _host(body: Json) -> str:
    return urlsplit(link(body, "project.web_url")).netloc.rpartition("@")[2].lower()


def _instant(body: Json, path: str) -> datetime:
    found = _optional_instant(body, path)
    return found if found is not None else required_instant(body, path)


def _optional_instant(body: Json, path: str) -> datetime | None:
    """Read GitLab's `2021-04-28 21:50:00 +0200` and `... UTC` besides RFC 3339."""
    written = _ZONED.match(optional_text(body, path))
    if written is None:
        return optional_instant(body, path)
    day, time, zone = written.groups()
    return instant_of(f"{day}T{time}{'Z' if zone == 'UTC' else zone}", path)
