"""Argo CD notifications to reports.

Argo CD lets its users write the body; ours is the template in `argocd-notifications.yaml` beside this package:

    app, operation_phase, started_at                required
    finished_at                                     required once the operation has ended
    namespace, project, service, environment, revision, sync_status, health_status, operation_message,
    destination_namespace, images, repository, initiated_by, url      optional, null or empty when unknown
    revisions, sources                              of an application of several sources, one for each in their order

One sync operation of one application is one deploy. The service is `service` (the template fills it from the label
`app.kubernetes.io/name`), else what the mapping rules say of application, repository and environment, else the
application's name; the environment is `environment` (from the label
`app.kubernetes.io/environment`), else the namespace it is deployed to. Of several sources, the revisions together are
the revision, so that a change of any of them is one; the repository is the first that has a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.deploy_normalizer.domain import argocd_sources
from services.deploy_normalizer.domain.argocd_sources import Source, known
from services.deploy_normalizer.domain.deploy import Kind, Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    NAME_CHARS,
    PROSE_CHARS,
    URL_CHARS,
    BadField,
    Json,
    link,
    lookup,
    optional_text,
    prose,
    required_instant,
    required_text,
    text_of,
)
from services.deploy_normalizer.domain.mapping import NO_RULES, ServiceRules, Subject
from services.deploy_normalizer.domain.previews import is_preview

_ENDED = ("Succeeded", "Failed", "Error")
PHASES: Mapping[str, Status] = {
    "Running": Status.IN_PROGRESS,
    "Terminating": Status.IN_PROGRESS,
    "Failed": Status.FAILED,
    "Error": Status.FAILED,
    "Succeeded": Status.SUCCEEDED,
}
# A sync that succeeded has only applied the manifests: the roll-out is over when the application's health says so.
HEALTH_AFTER_SYNC: Mapping[str, Status] = {
    "": Status.SUCCEEDED,
    "Healthy": Status.SUCCEEDED,
    "Degraded": Status.FAILED,
    "Progressing": Status.IN_PROGRESS,
    "Suspended": Status.IN_PROGRESS,
    "Missing": Status.IN_PROGRESS,
    "Unknown": Status.IN_PROGRESS,
}


def read(body: Json, rules: ServiceRules = NO_RULES) -> Report:
    """Return what a notification reports; raises MissingField or BadField."""
    app = required_text(body, "app")
    phase = required_text(body, "operation_phase")
    started_at = required_instant(body, "started_at")
    environment = _said(body, "environment") or _said(body, "destination_namespace")
    sources = argocd_sources.read(body)
    repositories = [name for source in sources if (name := source.repository)]
    service = _said(body, "service") or _ruled(rules, app, environment, repositories) or app
    revision = argocd_sources.revision_of(sources) or _said(body, "revision")
    return Report(
        provider=Provider.ARGOCD,
        external_id=f"{_said(body, 'namespace')}/{app}@{started_at.isoformat()}",
        event=f"sync_{phase.lower()}",
        status=_status(body, phase),
        at=_reported_at(body, phase, started_at),
        requested_at=started_at,
        began_at=started_at,
        service=service,
        environment=environment,
        version=_image_tag(body, service, app) or argocd_sources.chart_of(sources) or revision,
        revision=revision,
        repository=next(iter(repositories), ""),
        actor=_said(body, "initiated_by"),
        url=_page(body, app),
        description=_description(body, sources),
        kind=Kind.PREVIEW if is_preview(app) else Kind.DEPLOY,
    )


def _said(body: Json, path: str) -> str:
    """Return a text, empty where the template had nothing to fill in; raises BadField."""
    return known(optional_text(body, path))


def _ruled(rules: ServiceRules, app: str, environment: str, repositories: list[str]) -> str:
    for repository in repositories or [""]:
        found = rules.services(Subject(Provider.ARGOCD, repository=repository, app=app, environment=environment))
        if found:
            return found[0]
    return ""


def _page(body: Json, app: str) -> str:
    """Return the application's page: one outside Argo CD's own namespace is found by its namespace only."""
    page, namespace = link(body, "url"), _said(body, "namespace")
    bare = page.endswith(f"/applications/{app}") and namespace
    return f"{page.removesuffix(app)}{namespace}/{app}" if bare else page


def _description(body: Json, sources: tuple[Source, ...]) -> str:
    said = prose(body, "operation_message") or _summary(body)
    if len(sources) < 2:
        return said
    return f"{said}; sources: {', '.join(map(str, sources))}"[:PROSE_CHARS]


def _status(body: Json, phase: str) -> Status:
    status = PHASES.get(phase)
    if status is None:
        raise BadField("operation_phase", f"has the unknown value {phase!r}; known are {', '.join(PHASES)}")
    if status is not Status.SUCCEEDED:
        return status
    return HEALTH_AFTER_SYNC.get(_said(body, "health_status"), Status.IN_PROGRESS)


def _reported_at(body: Json, phase: str, started_at: datetime) -> datetime:
    return required_instant(body, "finished_at") if phase in _ENDED else started_at


def _image_tag(body: Json, *names: str) -> str:
    """The tag of the image that bears one of the names, or of the only image; empty when neither is clear."""
    images = lookup(body, "images")
    if images is None:
        return ""
    if not isinstance(images, list):
        raise BadField("images", "must be a list of texts")
    tags = dict(_name_and_tag(text_of(image, "images", limit=URL_CHARS)) for image in images if image is not None)
    named = [tags[name] for name in names if name in tags]
    tag = named[0] if named else next(iter(tags.values())) if len(tags) == 1 else ""
    return tag[:NAME_CHARS]


def _name_and_tag(image: str) -> tuple[str, str]:
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return name, tag


def _summary(body: Json) -> str:
    said = (("sync", "sync_status"), ("health", "health_status"), ("project", "project"))
    return ", ".join(f"{word} {text}" for word, name in said if (text := _said(body, name)))
