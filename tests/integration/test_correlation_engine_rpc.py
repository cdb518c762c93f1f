"""The engine's questions to incident_service and deploy_normalizer, over real gRPC on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import grpc
import pytest
from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.incident.v1 import incident_pb2

from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine.adapters.rpc import GrpcDeploys, GrpcIncidents
from services.correlation_engine.domain.schedule import OpenIncident
from tests.integration.correlation_world import Neighbours, neighbours, stamp

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
Answer = TypeVar("Answer")


def ask(known: Neighbours, question: Callable[[grpc.aio.Channel], Awaitable[Answer]]) -> Answer:
    async def work(target: str) -> Answer:
        async with grpc.aio.insecure_channel(target) as channel:
            return await question(channel)

    with known.serve() as target:
        return asyncio.run(work(target))


def incident(number: int, status: incident_pb2.IncidentStatus.ValueType) -> incident_pb2.Incident:
    return incident_pb2.Incident(
        id=f"i-{number}", tenant_id="acme", status=status, services=["front"], opened_at=stamp(NOW)
    )


def deploy(name: str, status: deploy_pb2.DeployStatus.ValueType, minutes_ago: int = 5) -> deploy_pb2.Deploy:
    return deploy_pb2.Deploy(
        id=f"d-{name}", service=name, status=status, started_at=stamp(NOW - timedelta(minutes=minutes_ago))
    )


def followed(tenant: str = "acme") -> OpenIncident:
    return OpenIncident(tenant, "i-1", ("front",), NOW, NOW)


def test_all_pages_of_open_and_acknowledged_incidents_are_read() -> None:
    statuses = (
        incident_pb2.INCIDENT_STATUS_OPEN,
        incident_pb2.INCIDENT_STATUS_RESOLVED,
        incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED,
    )
    known = neighbours("acme", incidents=[incident(n, s) for n, s in enumerate(statuses)])

    found = ask(known, lambda channel: GrpcIncidents(channel).open("acme"))

    assert [i.id for i in found] == ["i-0", "i-2"]


def test_the_latest_analysis_is_none_before_the_first() -> None:
    known = neighbours("acme")
    assert ask(known, lambda channel: GrpcIncidents(channel).latest(followed())) is None

    known.analyses["i-1"] = HypothesesPublished(incident_id="i-1", version=3)
    stored = ask(known, lambda channel: GrpcIncidents(channel).latest(followed()))
    assert stored is not None
    assert stored.version == 3


def test_deploys_that_never_took_effect_are_left_out() -> None:
    known = neighbours(
        "acme",
        deploys=[
            deploy("rolled-out", deploy_pb2.DEPLOY_STATUS_SUCCEEDED),
            deploy("queued", deploy_pb2.DEPLOY_STATUS_PENDING),
            deploy("rolling", deploy_pb2.DEPLOY_STATUS_IN_PROGRESS),
            deploy("cancelled", deploy_pb2.DEPLOY_STATUS_INACTIVE),
            deploy("half-way", deploy_pb2.DEPLOY_STATUS_FAILED),
            deploy("long-ago", deploy_pb2.DEPLOY_STATUS_SUCCEEDED, minutes_ago=500),
        ],
    )

    found = ask(known, lambda channel: GrpcDeploys(channel).between("acme", NOW - timedelta(hours=1), NOW))

    assert [c.service for c in found] == ["rolled-out", "rolling", "half-way"]
    assert found[0].finished_at is None


def test_only_what_changes_what_runs_is_evidence_also_when_superseded_since() -> None:
    def change(kind: deploy_pb2.ChangeKind.ValueType) -> deploy_pb2.Deploy:
        changed = deploy(deploy_pb2.ChangeKind.Name(kind), deploy_pb2.DEPLOY_STATUS_SUCCEEDED)
        changed.kind = kind
        return changed

    superseded = deploy("superseded", deploy_pb2.DEPLOY_STATUS_INACTIVE)
    superseded.movement = deploy_pb2.DEPLOY_MOVEMENT_NEW
    known = neighbours("acme", deploys=[*map(change, sorted(deploy_pb2.ChangeKind.values())), superseded])

    found = ask(known, lambda channel: GrpcDeploys(channel).between("acme", NOW - timedelta(hours=1), NOW))

    assert [c.service for c in found] == [
        "CHANGE_KIND_UNSPECIFIED", "CHANGE_KIND_DEPLOY", "CHANGE_KIND_CONFIGURATION", "superseded"
    ]  # fmt: skip


def alert(labels: dict[str, str], ended: bool = False) -> incident_pb2.IncidentAlert:
    return incident_pb2.IncidentAlert(id="a", labels=labels, ended_at=stamp(NOW) if ended else None)


def test_the_environment_is_that_of_the_alerts_that_go_on() -> None:
    going_on = [alert({"env": "prod", "service": "front"}), alert({"environment": "staging"}), alert({"env": "prod"})]
    ended = [alert({"env": "dev"}, ended=True)]

    def environments(*alerts: incident_pb2.IncidentAlert) -> tuple[str, ...]:
        known = neighbours("acme", alerts=list(alerts))
        return ask(known, lambda channel: GrpcIncidents(channel).environments(followed()))

    assert environments(*going_on, *ended) == ("prod", "staging")
    assert environments(*ended) == ("dev",)
    assert environments(alert({"service": "front"})) == ()
    assert environments() == ()


def test_a_deploy_goes_with_its_environment_and_without_a_version_with_its_commit() -> None:
    known = neighbours("acme", deploys=[deploy("front", deploy_pb2.DEPLOY_STATUS_SUCCEEDED)])
    known.deploys[0].environment, known.deploys[0].revision = "production", "c0ffee12" * 5

    [change] = ask(known, lambda channel: GrpcDeploys(channel).between("acme", NOW - timedelta(hours=1), NOW))

    assert (change.environment, change.version) == ("production", "c0ffee12c0ff")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (grpc.StatusCode.UNAVAILABLE, Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Unavailable),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
    ],
)
def test_a_service_that_is_away_is_told_from_one_that_refuses(status: grpc.StatusCode, error: type[Exception]) -> None:
    known = neighbours("acme", refuse=status)

    with pytest.raises(error):
        ask(known, lambda channel: GrpcDeploys(channel).between("acme", NOW - timedelta(hours=1), NOW))
    with pytest.raises(error):
        ask(known, lambda channel: GrpcIncidents(channel).open("acme"))
    with pytest.raises(error):
        ask(known, lambda channel: GrpcIncidents(channel).environments(followed()))
    with pytest.raises(Unavailable):
        ask(known, lambda channel: GrpcIncidents(channel).latest(followed()))


def test_the_tenant_goes_with_the_call() -> None:
    with pytest.raises(InvalidInput, match="unknown_tenant"):
        ask(neighbours("acme"), lambda channel: GrpcIncidents(channel).open("other"))
