"""The generic door's JSON to reports: one small object a change, for senders that have no reader of their own.

    id          the sender's own id of the change, the same in every report about it    required, text or number
    status      pending | in_progress | succeeded | failed | inactive                   required
    time        when this became so, RFC 3339 with a zone                               required
    service     as telemetry names it      required, unless a mapping rule finds it from what follows
    kind        deploy (when absent) | code_change | release | ci_outcome | configuration | preview
    started_at  when it began, RFC 3339
    version     text or whole number
    environment, revision, repository, app, actor, url, description                     texts
    paths       list of the files touched, for mapping rules

Fields this page does not know are refused, so that a misspelt one does not go unnoticed, and so are fields of a wrong
type: whoever sends this wrote it for us, and hears so at once.
"""

from __future__ import annotations

from services.deploy_normalizer.domain.deploy import Kind, Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    URL_CHARS,
    BadField,
    Json,
    MissingField,
    identifier,
    link,
    lookup,
    one_of,
    optional_instant,
    optional_text,
    optional_version,
    prose,
    required_instant,
)
from services.deploy_normalizer.domain.mapping import ServiceRules, Subject

FIELDS = frozenset({
    "id", "status", "time", "service", "kind", "started_at", "environment", "version", "revision", "repository", "app",
    "actor", "url", "description", "paths",
})  # fmt: skip
STATUSES = {status.value: status for status in Status}
KINDS = {kind.value: kind for kind in Kind}
MAX_PATHS = 20_000


def read(body: Json, rules: ServiceRules) -> tuple[Report, ...]:
    """Return what an object reports, for each of its services; raises MissingField or BadField."""
    unknown = sorted(set(body) - FIELDS)
    if unknown:
        raise BadField(unknown[0][:100], f"is not known; known are {', '.join(sorted(FIELDS))}")
    number = identifier(body, "id")
    return tuple(_report(body, number, service) for service in _services(body, rules))


def _report(body: Json, number: str, service: str) -> Report:
    at = required_instant(body, "time")
    began = optional_instant(body, "started_at")
    kind = _kind(body)
    return Report(
        provider=Provider.GENERIC,
        external_id=f"{number}/{service}",
        event=kind.value,
        status=one_of(body, "status", STATUSES),
        at=at,
        requested_at=began or at,
        began_at=began,
        service=service,
        environment=optional_text(body, "environment"),
        version=optional_version(body, "version"),
        revision=optional_text(body, "revision"),
        repository=optional_text(body, "repository"),
        actor=optional_text(body, "actor"),
        url=link(body, "url"),
        description=prose(body, "description"),
        kind=kind,
    )


def _services(body: Json, rules: ServiceRules) -> tuple[str, ...]:
    asked = optional_text(body, "service")
    if asked:
        return (asked,)
    subject = Subject(
        Provider.GENERIC,
        repository=optional_text(body, "repository"),
        app=optional_text(body, "app"),
        environment=optional_text(body, "environment"),
        paths=_paths(body),
    )
    found = rules.services(subject)
    if not found:
        raise MissingField("service")
    return found


def _paths(body: Json) -> tuple[str, ...]:
    paths = lookup(body, "paths")
    if paths is None:
        return ()
    if not isinstance(paths, list) or len(paths) > MAX_PATHS:
        raise BadField("paths", f"must be a list of at most {MAX_PATHS} texts")
    return tuple(optional_text({"paths": path}, "paths", limit=URL_CHARS) for path in paths)


def _kind(body: Json) -> Kind:
    return one_of(body, "kind", KINDS) if optional_text(body, "kind") else Kind.DEPLOY
