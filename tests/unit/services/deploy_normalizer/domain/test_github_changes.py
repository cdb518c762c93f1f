"""Pushes, releases and suites of checks."""

from __future__ import annotations

from typing import Any

import pytest

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain.deploy import Kind, Report, Status
from services.deploy_normalizer.domain.github import GithubRules, Ignored
from services.deploy_normalizer.domain.github_changes import read_all
from services.deploy_normalizer.domain.mapping import parse_rules
from tests.unit.services.deploy_normalizer.world import (
    check_suite,
    deployment_status,
    github_push,
    github_release,
    minutes,
    without,
)

BY_PATH = GithubRules(
    mapping=parse_rules({
        "rules": [
            {"service": name, "match": {"paths": f"services/{name}/*"}} for name in ("cart", "checkout", "ledger")
        ]
    })
)  # fmt: skip


def found(event: str, body: dict[str, Any], rules: GithubRules | None = None) -> tuple[Report, ...]:
    reports = read_all(event, body, rules or GithubRules())
    assert isinstance(reports, tuple)
    return reports


def test_a_push_is_a_code_change_of_the_repositorys_service() -> None:
    [push] = found("push", github_push())
    assert (push.kind, push.status, push.service, push.version) == (
        Kind.CODE_CHANGE, Status.SUCCEEDED, "shop", ""
    )  # fmt: skip
    assert (push.at, push.actor, push.revision[:6]) == (minutes(0), "octocat", "c0ffee")


def test_a_push_counts_for_each_service_whose_files_it_touches() -> None:
    pushes = found("push", github_push(), BY_PATH)
    assert [p.service for p in pushes] == ["cart", "checkout"]
    assert len({p.external_id for p in pushes}) == 2


def test_a_pushed_tag_counts_and_without_a_time_its_last_commits_does() -> None:
    body = without(github_push(ref="refs/tags/v2"), "repository.pushed_at")
    [push] = found("push", body)
    assert (push.version, push.at) == ("v2", minutes(-121))


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("push", github_push(ref="refs/heads/wip"), Ignored.OTHER_BRANCH),
        ("push", github_push(deleted=True), Ignored.REF_DELETED),
        ("push", github_push(after="0" * 40), Ignored.REF_DELETED),
        ("release", github_release("created"), Ignored.NOT_PUBLISHED),
        ("release", github_release("edited"), Ignored.NOT_PUBLISHED),
        ("star", {}, Ignored.UNSUPPORTED_EVENT),
    ],
)
def test_what_changes_nothing_is_ignored_for_a_reason(event: str, body: dict[str, Any], reason: Ignored) -> None:
    assert read_all(event, body, GithubRules()) is reason


def test_a_release_is_a_release_until_it_is_withdrawn() -> None:
    [published] = found("release", github_release())
    [withdrawn] = found("release", github_release("deleted", updated_at="2026-05-04T12:09:00Z"))
    assert (published.kind, published.status, published.at) == (Kind.RELEASE, Status.SUCCEEDED, minutes(0))
    assert (withdrawn.status, withdrawn.at) == (Status.INACTIVE, minutes(9))
    assert published.external_id == withdrawn.external_id
    assert (published.version, published.revision) == ("v2", "")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.SUCCEEDED),
        ({"conclusion": "failure"}, Status.FAILED),
        ({"conclusion": "skipped"}, Status.INACTIVE),
        ({"conclusion": "neutral"}, Status.INACTIVE),
        ({"status": "queued", "conclusion": None}, Status.PENDING),
        ({"status": None, "conclusion": None}, Status.PENDING),
        ({"status": "in_progress", "conclusion": None}, Status.IN_PROGRESS),
    ],
)
def test_a_suite_of_checks_is_the_outcome_of_ci(changes: dict[str, Any], status: Status) -> None:
    [suite] = found("check_suite", check_suite(**changes))
    assert (suite.kind, suite.status, suite.at) == (Kind.CI_OUTCOME, status, minutes(3))


def test_deployments_pass_through() -> None:
    [deploy] = found("deployment_status", deployment_status())
    assert deploy.kind is Kind.DEPLOY


@pytest.mark.parametrize(
    ("event", "body", "field"),
    [
        ("push", without(github_push(), "ref"), "ref"),
        ("push", without(github_push(), "after"), "after"),
        ("push", without(github_push(), "repository.full_name"), "repository.full_name"),
        ("push", github_push(commits="all"), "commits"),
        ("push", github_push(commits=[{"added": [7]}]), "commits"),
        ("push", github_push(repository=github_push()["repository"] | {"pushed_at": -1}), "repository.pushed_at"),
        ("release", {"action": "published"}, "release"),
        ("release", without(github_release(), "release.tag_name"), "release.tag_name"),
        ("release", without(github_release(), "action"), "action"),
        ("check_suite", {}, "check_suite"),
        ("check_suite", without(check_suite(), "check_suite.id"), "check_suite.id"),
        ("check_suite", check_suite(conclusion="maybe"), "check_suite.conclusion"),
    ],
)
def test_a_body_that_cannot_be_used_is_refused_with_the_field(event: str, body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        read_all(event, body, GithubRules())
