"""A deploy is a function of the set of its reports."""

from __future__ import annotations

import itertools

import pytest

from services.deploy_normalizer.domain.deploy import Provider, Status, combine, deploy_id
from tests.unit.services.deploy_normalizer.world import NOON, minutes, report

TIMELINE = [
    report(Status.PENDING, minutes(0), event="deployment", url="", description=""),
    report(Status.IN_PROGRESS, minutes(2), began_at=minutes(2), actor=""),
    report(Status.SUCCEEDED, minutes(5), version="", description="done"),
    report(Status.INACTIVE, minutes(90), description=""),
]


def test_every_order_of_delivery_ends_in_the_same_deploy() -> None:
    results = {combine("acme", order) for order in itertools.permutations(TIMELINE)}
    assert len(results) == 1


def test_every_order_of_delivery_passes_only_forward_through_final_statuses() -> None:
    for order in itertools.permutations(TIMELINE):
        seen = [combine("acme", order[:n]).status.final for n in range(1, len(order) + 1)]
        assert seen == sorted(seen)


def test_a_deploy_tells_when_it_was_rolled_out_and_by_whom() -> None:
    deploy = combine("acme", TIMELINE[:3])
    assert (deploy.status, deploy.started_at, deploy.finished_at) == (Status.SUCCEEDED, minutes(2), minutes(5))
    assert (deploy.version, deploy.actor, deploy.description) == ("v2", "octocat", "done")


def test_waiting_for_approval_is_not_part_of_the_rollout() -> None:
    waited = [report(Status.PENDING, minutes(0)), report(Status.IN_PROGRESS, minutes(180), began_at=minutes(180))]
    assert combine("acme", waited).started_at == minutes(180)


def test_without_a_report_of_its_beginning_a_deploy_starts_when_it_was_requested() -> None:
    assert combine("acme", [report(Status.SUCCEEDED, minutes(5))]).started_at == NOON


def test_being_superseded_does_not_move_the_end_of_the_rollout() -> None:
    deploy = combine("acme", TIMELINE)
    assert (deploy.status, deploy.finished_at, deploy.updated_at) == (Status.INACTIVE, minutes(5), minutes(90))


def test_a_deploy_that_never_took_effect_ends_when_it_was_cancelled() -> None:
    assert combine("acme", [report(Status.INACTIVE, minutes(3))]).finished_at == minutes(3)


@pytest.mark.parametrize("late", [Status.PENDING, Status.IN_PROGRESS])
def test_a_status_that_is_not_final_never_replaces_a_final_one(late: Status) -> None:
    deploy = combine("acme", [report(Status.FAILED, minutes(5)), report(late, minutes(6))])
    assert (deploy.status, deploy.finished_at, deploy.updated_at) == (Status.FAILED, minutes(5), minutes(6))


def test_of_two_final_statuses_the_later_one_counts() -> None:
    deploy = combine("acme", [report(Status.SUCCEEDED, minutes(9)), report(Status.FAILED, minutes(5))])
    assert (deploy.status, deploy.finished_at) == (Status.SUCCEEDED, minutes(9))


def test_within_one_second_the_status_further_along_counts() -> None:
    deploy = combine("acme", [report(Status.IN_PROGRESS), report(Status.PENDING)])
    assert deploy.status is Status.IN_PROGRESS


def test_a_deploy_never_starts_after_it_finished() -> None:
    late = report(Status.IN_PROGRESS, minutes(9), began_at=minutes(9))
    deploy = combine("acme", [report(Status.SUCCEEDED, minutes(5)), late])
    assert deploy.started_at == minutes(5)


def test_ids_differ_by_tenant_provider_and_external_id_only() -> None:
    ids = {
        deploy_id(tenant, provider, external)
        for tenant in ("a", "b")
        for provider in Provider
        for external in ("1", "2")
    }
    assert len(ids) == 4 * len(Provider)
    assert deploy_id("a", Provider.GITHUB, "1") in ids
