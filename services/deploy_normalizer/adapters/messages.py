"""A deploy as the contracts' message and as the event that tells of its change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.deploy.v1 import deploy_events_pb2, deploy_pb2

from libs.kernel.errors import InvalidInput
from libs.kernel.ids import uuid7
from libs.messaging.cloudevents import CloudEvent
from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Provider, Status

Word = TypeVar("Word", Status, Provider, Kind, Movement)
SOURCE = "/incidentscope/deploy_normalizer"

STATUSES: Mapping[Status, deploy_pb2.DeployStatus.ValueType] = {
    Status.PENDING: deploy_pb2.DEPLOY_STATUS_PENDING,
    Status.IN_PROGRESS: deploy_pb2.DEPLOY_STATUS_IN_PROGRESS,
    Status.SUCCEEDED: deploy_pb2.DEPLOY_STATUS_SUCCEEDED,
    Status.FAILED: deploy_pb2.DEPLOY_STATUS_FAILED,
    Status.INACTIVE: deploy_pb2.DEPLOY_STATUS_INACTIVE,
}
PROVIDERS: Mapping[Provider, deploy_pb2.Provider.ValueType] = {
    Provider.GITHUB: deploy_pb2.PROVIDER_GITHUB,
    Provider.ARGOCD: deploy_pb2.PROVIDER_ARGOCD,
    Provider.GITLAB: deploy_pb2.PROVIDER_GITLAB,
    Provider.GENERIC: deploy_pb2.PROVIDER_GENERIC,
}
KINDS: Mapping[Kind, deploy_pb2.ChangeKind.ValueType] = {
    Kind.DEPLOY: deploy_pb2.CHANGE_KIND_DEPLOY,
    Kind.CODE_CHANGE: deploy_pb2.CHANGE_KIND_CODE_CHANGE,
    Kind.RELEASE: deploy_pb2.CHANGE_KIND_RELEASE,
    Kind.CI_OUTCOME: deploy_pb2.CHANGE_KIND_CI_OUTCOME,
    Kind.CONFIGURATION: deploy_pb2.CHANGE_KIND_CONFIGURATION,
    Kind.PREVIEW: deploy_pb2.CHANGE_KIND_PREVIEW,
}
MOVEMENTS: Mapping[Movement, deploy_pb2.DeployMovement.ValueType] = {
    Movement.UNKNOWN: deploy_pb2.DEPLOY_MOVEMENT_UNSPECIFIED,
    Movement.NEW: deploy_pb2.DEPLOY_MOVEMENT_NEW,
    Movement.REDEPLOY: deploy_pb2.DEPLOY_MOVEMENT_REDEPLOY,
    Movement.ROLLBACK: deploy_pb2.DEPLOY_MOVEMENT_ROLLBACK,
    Movement.PROMOTION: deploy_pb2.DEPLOY_MOVEMENT_PROMOTION,
}


def to_message(deploy: Deploy) -> deploy_pb2.Deploy:
    """Return the message of a deploy."""
    message = deploy_pb2.Deploy(
        id=deploy.id,
        tenant_id=deploy.tenant,
        service=deploy.service,
        environment=deploy.environment,
        version=deploy.version,
        revision=deploy.revision,
        status=STATUSES[deploy.status],
        provider=PROVIDERS[deploy.provider],
        provider_event=deploy.event,
        repository=deploy.repository,
        actor=deploy.actor,
        url=deploy.url,
        description=deploy.description,
        kind=KINDS[deploy.kind],
        movement=MOVEMENTS[deploy.movement],
        previous_deploy_id=deploy.previous_id,
        source_deploy_id=deploy.source_id,
    )
    message.started_at.FromDatetime(deploy.started_at)
    message.updated_at.FromDatetime(deploy.updated_at)
    if deploy.finished_at is not None:
        message.finished_at.FromDatetime(deploy.finished_at)
    return message


def deploy_changed(deploy: Deploy, now: datetime) -> CloudEvent:
    """Return the event that a deploy appeared or moved on."""
    data = deploy_events_pb2.DeployChanged(deploy=to_message(deploy))
    return CloudEvent(uuid7(now), SOURCE, now, deploy.id, deploy.tenant, data)


def from_message(message: deploy_pb2.Deploy) -> Deploy:
    """Return the deploy that `to_message` made the message of; raises InvalidInput on words this version lacks."""
    finished = _instant(message.finished_at) if message.HasField("finished_at") else None
    return Deploy(
        id=message.id,
        tenant=message.tenant_id,
        provider=_word(PROVIDERS, message.provider),
        service=message.service,
        environment=message.environment,
        version=message.version,
        revision=message.revision,
        status=_word(STATUSES, message.status),
        event=message.provider_event,
        repository=message.repository,
        actor=message.actor,
        url=message.url,
        description=message.description,
        started_at=_instant(message.started_at),
        finished_at=finished,
        updated_at=_instant(message.updated_at),
        kind=_word(KINDS, message.kind or deploy_pb2.CHANGE_KIND_DEPLOY),
        movement=_word(MOVEMENTS, message.movement),
        previous_id=message.previous_deploy_id,
        source_id=message.source_deploy_id,
    )


def _instant(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _word(words: Mapping[Word, int], number: int) -> Word:
    for word, known in words.items():
        if known == number:
            return word
    raise InvalidInput("unknown_word", f"a newer version wrote this event: {number} is none of {', '.join(words)}")
