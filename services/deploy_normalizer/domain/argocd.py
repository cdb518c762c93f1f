"""Argo CD notifications to reports.

Argo CD lets its users write the body; ours is the template in `argocd-notifications.yaml` beside this package:

    app, operation_phase, started_at                required
    finished_at                                     required once the operation has ended
    namespace, project, service, environment, revision, sync_status, health_status, operation_message,
    destination_namespace, images, repository, initiated_by, url      optional, null or empty when unknown

One sync operation of one application is one deploy. The service is `service` (the template fills it from the label
`app.kubernetes.io/name`), else what the mapping rules say of application, repository and environment, else the
application's name; the environment is `environment` (from the label
`app.kubernetes.io/environment`), else the namespace it is deployed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.deploy_normalizer.domain.deploy import Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    NAME_CHARS,
    BadField,
    Json,
    link,
    lookup,
    optional_text,
    prose,
    required_instant,
    required_text,
)
from services.deploy_normalizer.domain.mapping import NO_RULES, ServiceRules, Subject

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
    environment = optional_text(body, "environment") or optional_text(body, "destination_namespace")
    repository = _repository(optional_text(body, "repository", limit=2000))
    subject = Subject(Provider.ARGOCD, repository=repository, app=app, environment=environment)
    service = optional_text(body, "service") or next(iter(rules.services(subject)), app)
    revision = optional_text(body, "revision")
    return Report(
        provider=Provider.ARGOCD,
        external_id=f"{optional_text(body, 'namespace')}/{app}@{started_at.isoformat()}",
        event=f"sync_{phase.lower()}",
        status=_status(body, phase),
        at=_reported_at(body, phase, started_at),
        requested_at=started_at,
        began_at=started_at,
        service=service,
        environment=environment,
        version=_image_tag(body, service, app) or revision,
        revision=revision,
        repository=repository,
        actor=optional_text(body, "initiated_by"),
        url=link(body, "url"),
        description=prose(body, "operation_message") or _summary(body),
    )


def _status(body: Json, phase: str) -> Status:
    status = PHASES.get(phase)
    if status is None:
        raise BadField("operation_phase", f"has the unknown value {phase!r}; known are {', '.join(PHASES)}")
    if status is not Status.SUCCEEDED:
        return status
    health = optional_text(body, "health_status")
    if health not in HEALTH_AFTER_SYNC:
        known = ", ".join(filter(None, HEALTH_AFTER_SYNC))
        raise BadField("health_status", f"has the unknown value {health!r}; known are {known}")
    return HEALTH_AFTER_SYNC[health]


def _reported_at(body: Json, phase: str, started_at: datetime) -> datetime:
    return required_instant(body, "finished_at") if phase in _ENDED else started_at


def _image_tag(body: Json, *names: str) -> str:
    """The tag of the image that bears one of the names, or of the only image; empty when neither is clear."""
    images = lookup(body, "images")
    if images is None:
        return ""
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise BadField("images", "must be a list of texts")
    tags = dict(_name_and_tag(optional_text({"images": image}, "images", limit=2000)) for image in images)
    named = [tags[name] for name in names if name in tags]
    tag = named[0] if named else next(iter(tags.values())) if len(tags) == 1 else ""
    return tag[:NAME_CHARS]


def _name_and_tag(image: str) -> tuple[str, str]:
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    return name, tag


def _repository(address: str) -> str:
    """`owner/name` of a Git address, without host, user or password; empty when it does not look like one."""
    text = address.removesuffix("/").removesuffix(".git")
    path = text.partition("://")[2].partition("/")[2] if "://" in text else text.partition(":")[2]
    return path[:NAME_CHARS] if "/" in path else ""


def _summary(body: Json) -> str:
    said = (("sync", "sync_status"), ("health", "health_status"), ("project", "project"))
    return ", ".join(f"{word} {text}" for word, name in said if (text := optional_text(body, name)))
