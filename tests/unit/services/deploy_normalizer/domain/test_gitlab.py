"""GitLab's deployments and pipelines."""

from __future__ import annotations

from typing import Any

import pytest

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain.deploy import Kind, Report, Status, combine
from services.deploy_normalizer.domain.gitlab import Ignored, read
from services.deploy_normalizer.domain.mapping import NO_RULES, ServiceRules, parse_rules
from tests.unit.services.deploy_normalizer.world import gitlab_deployment, gitlab_pipeline, minutes, without


def found(body: dict[str, Any], rules: ServiceRules = NO_RULES) -> Report:
    report = read(body, rules)
    assert isinstance(report, Report)
    return report


def test_a_deployment_says_what_changed_where_and_when() -> None:
    said = found(gitlab_deployment())
    assert (said.kind, said.status, said.at) == (Kind.DEPLOY, Status.SUCCEEDED, minutes(5))
    assert (said.service, said.environment, said.version) == ("shop", "production", "v2")
    assert (said.revision, said.actor, said.external_id) == (
        "c0ffee12" * 5, "tanuki", "gitlab.example.com/deployment/15"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("created", Status.PENDING), ("running", Status.IN_PROGRESS), ("success", Status.SUCCEEDED),
        ("failed", Status.FAILED), ("canceled", Status.FAILED), ("skipped", Status.INACTIVE),
        ("canceling", Status.IN_PROGRESS),
    ],
)  # fmt: skip
def test_a_deployments_status_is_translated(status: str, expected: Status) -> None:
    assert found(gitlab_deployment(status=status)).status is expected


def test_reports_of_one_deployment_make_one_deploy_in_any_order() -> None:
    running = found(gitlab_deployment(status="running", status_changed_at="2026-05-04 12:01:00 UTC"))
    ended = found(gitlab_deployment())
    for order in ([running, ended], [ended, running]):
        deploy = combine("acme", order)
        assert (deploy.status, deploy.started_at, deploy.finished_at) == (Status.SUCCEEDED, minutes(1), minutes(5))


def test_a_branch_is_no_version_and_a_review_app_is_a_preview() -> None:
    assert found(gitlab_deployment(ref="main")).version == ""
    assert [found(gitlab_pipeline(ref="nightly", tag=tag)).version for tag in (True, False, None)] == [
        "nightly",
        "",
        "",
    ]
    assert combine("acme", [found(gitlab_deployment(environment="review/faster-carts"))]).kind is Kind.PREVIEW


def test_rules_name_the_service() -> None:
    rules = parse_rules({
        "rules": [{"service": "checkout", "match": {"repository": "acme/*", "environment": "prod*"}}]
    })  # fmt: skip
    assert found(gitlab_deployment(), rules).service == "checkout"
    assert found(gitlab_deployment(environment="staging"), rules).service == "shop"


def test_a_pipeline_is_the_outcome_of_ci() -> None:
    said = found(gitlab_pipeline())
    assert (said.kind, said.status, said.at) == (Kind.CI_OUTCOME, Status.SUCCEEDED, minutes(9))
    assert said.url == "https://gitlab.example.com/acme/shop/-/pipelines/31"
    assert found(gitlab_pipeline(status="running")).at == minutes(0)


@pytest.mark.parametrize("kind", ["push", "wiki_page", "build"])
def test_other_events_are_ignored(kind: str) -> None:
    assert read({"object_kind": kind}, NO_RULES) is Ignored.UNSUPPORTED_EVENT


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "object_kind"),
        ({"object_kind": ["deployment"]}, "object_kind"),
        (gitlab_deployment(status="exploded"), "status"),
        (gitlab_deployment(status_changed_at="yesterday"), "status_changed_at"),
        (gitlab_deployment(status_changed_at="2026-13-04 12:00:00 UTC"), "status_changed_at"),
        (without(gitlab_deployment(), "status_changed_at"), "status_changed_at"),
        (without(gitlab_deployment(), "deployment_id"), "deployment_id"),
        (without(gitlab_deployment(), "project.path_with_namespace"), "project.path_with_namespace"),
        ({"object_kind": "pipeline"}, "object_attributes"),
        (gitlab_pipeline(id=-1), "object_attributes.id"),
        (gitlab_pipeline(status="what"), "object_attributes.status"),
        (gitlab_pipeline(created_at=None), "object_attributes.created_at"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_the_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"`{field}`"):
        read(body, NO_RULES)
