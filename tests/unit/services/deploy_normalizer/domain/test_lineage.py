"""Rollbacks and promotions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Provider, Status
from services.deploy_normalizer.domain.lineage import lineage


def _deploy(minute: int, revision: str, environment: str = "production", status: Status = Status.SUCCEEDED,
            service: str = "checkout", tenant: str = "acme") -> Deploy:  # fmt: skip
    start = datetime(2026, 11, 21, 8, 0, tzinfo=UTC) + timedelta(minutes=minute)
    return Deploy(
        id=f"{tenant}/{service}/{environment}/{minute}", tenant=tenant, provider=Provider.GITHUB, service=service,
        environment=environment, version="", revision=revision, status=status, event="deployment_status",
        repository="", actor="", url="", description="", started_at=start,
        finished_at=start + timedelta(minutes=1), updated_at=start + timedelta(minutes=1),
        succeeded_at=start + timedelta(minutes=1) if status in (Status.SUCCEEDED, Status.INACTIVE) else None,
    )  # fmt: skip


HERE = _deploy(30, "a")


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], Movement.NEW),
        ([_deploy(0, "a"), _deploy(10, "b")], Movement.ROLLBACK),
        ([_deploy(0, "a", status=Status.INACTIVE), _deploy(10, "b")], Movement.ROLLBACK),
        ([_deploy(0, "b"), _deploy(10, "a")], Movement.REDEPLOY),
        ([_deploy(0, "b"), _deploy(10, "a", environment="staging")], Movement.PROMOTION),
        ([_deploy(0, "a", status=Status.FAILED), _deploy(10, "b")], Movement.NEW),
        ([_deploy(0, "a"), _deploy(10, "b", status=Status.FAILED)], Movement.REDEPLOY),
        ([_deploy(0, "a", service="cart")], Movement.NEW),
        ([_deploy(0, "a", tenant="other")], Movement.NEW),
        ([_deploy(40, "a"), HERE], Movement.NEW),
    ],
)
def test_the_movement_follows_from_what_ran_before(others: list[Deploy], expected: Movement) -> None:
    assert lineage(HERE, others).movement is expected
    assert lineage(HERE, others[::-1]).movement is expected


def test_a_promotion_is_shown_by_the_latest_environment_it_came_through() -> None:
    staging = _deploy(10, "a", environment="staging")

    assert lineage(HERE, [_deploy(0, "a", environment="test"), staging]).shown_by == staging


def test_without_revision_or_version_nothing_can_be_told() -> None:
    assert lineage(_deploy(30, ""), [_deploy(0, "")]).movement is Movement.UNKNOWN


def test_what_was_skipped_never_ran() -> None:
    skipped = replace(_deploy(10, "b", status=Status.INACTIVE), succeeded_at=None)

    assert lineage(HERE, [_deploy(0, "a"), skipped]).movement is Movement.REDEPLOY
    assert lineage(skipped, [_deploy(0, "a")]).movement is Movement.UNKNOWN


def test_only_deploys_move_a_revision() -> None:
    release = replace(_deploy(0, "a"), kind=Kind.RELEASE)

    assert lineage(HERE, [release]).movement is Movement.NEW
    assert lineage(release, [HERE]).movement is Movement.UNKNOWN


def test_what_ran_before_is_named_beside_what_shows_the_movement() -> None:
    between = _deploy(10, "b")

    assert lineage(HERE, [_deploy(0, "a"), between]).previous == between
