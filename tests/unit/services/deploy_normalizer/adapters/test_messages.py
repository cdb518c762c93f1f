"""Deploys in the contracts' words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged

from libs.kernel.errors import InvalidInput
from libs.messaging import topics
from libs.messaging.cloudevents import decode, record
from services.deploy_normalizer.adapters.messages import (
    KINDS,
    MOVEMENTS,
    PROVIDERS,
    STATUSES,
    deploy_changed,
    from_message,
    to_message,
)
from services.deploy_normalizer.domain.deploy import Kind, Movement, Provider, Status, combine
from tests.unit.services.deploy_normalizer.world import minutes, report


def test_every_status_and_provider_has_its_word_in_the_contract() -> None:
    statuses = [deploy_pb2.DeployStatus.Name(STATUSES[s]) for s in Status]
    providers = [deploy_pb2.Provider.Name(PROVIDERS[p]) for p in Provider]
    assert statuses == [f"DEPLOY_STATUS_{s.name}" for s in Status]
    kinds = [deploy_pb2.ChangeKind.Name(KINDS[k]) for k in Kind]
    movements = [deploy_pb2.DeployMovement.Name(MOVEMENTS[m]) for m in Movement]
    assert kinds == [f"CHANGE_KIND_{k.name}" for k in Kind]
    assert movements[1:] == [f"DEPLOY_MOVEMENT_{m.name}" for m in list(Movement)[1:]]
    assert movements[0] == "DEPLOY_MOVEMENT_UNSPECIFIED"
    assert providers == [f"PROVIDER_{p.name}" for p in Provider]


def test_a_message_says_all_that_is_known() -> None:
    said = combine("acme", [report(Status.SUCCEEDED, minutes(5), began_at=minutes(1))])
    message = to_message(replace(said, movement=Movement.ROLLBACK, previous_id="b", source_id="a"))
    assert message.started_at.ToDatetime(UTC) == minutes(1)
    assert message.finished_at.ToDatetime(UTC) == minutes(5)
    unset = [f.name for f in message.DESCRIPTOR.fields if not getattr(message, f.name)]
    assert unset == []


@pytest.mark.parametrize("status", [Status.PENDING, Status.IN_PROGRESS])
def test_a_deploy_under_way_has_no_end(status: Status) -> None:
    assert not to_message(combine("acme", [report(status)])).HasField("finished_at")


def test_the_event_survives_the_wire() -> None:
    deploy = combine("acme", [report(Status.PENDING)])
    sent = record(topics.DEPLOYS_EVENTS, deploy.service, deploy_changed(deploy, minutes(1)))
    event = decode(sent.headers, sent.value)
    assert (sent.key, event.tenant, event.subject, event.time) == (b"checkout", "acme", deploy.id, minutes(1))
    assert event.data == DeployChanged(deploy=to_message(deploy))


def test_a_message_is_read_back() -> None:
    deploy = replace(
        combine("acme", [report(Status.IN_PROGRESS, kind=Kind.RELEASE)]), movement=Movement.NEW, previous_id="b"
    )
    assert from_message(to_message(deploy)) == deploy


def test_a_word_of_a_newer_version_is_refused() -> None:
    message = to_message(combine("acme", [report(Status.PENDING)]))
    message.status = 77  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match="77"):
        from_message(message)
