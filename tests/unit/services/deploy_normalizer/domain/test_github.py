"""GitHub's payloads become reports, or a refusal that names the field."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain.deploy import Kind, Report, Status
from services.deploy_normalizer.domain.github import GithubRules, Ignored, read
from tests.unit.services.deploy_normalizer.world import deployment_status, minutes, without, workflow_run

RULES = GithubRules()


def read_report(event: str, body: dict[str, Any], rules: GithubRules = RULES) -> Report:
    found = read(event, body, rules)
    assert isinstance(found, Report)
    return found


def test_a_deployment_status_is_read_whole() -> None:
    found = read_report("deployment_status", deployment_status())
    assert (found.external_id, found.status, found.service) == ("deployment/7", Status.SUCCEEDED, "checkout")
    assert (found.environment, found.version, found.revision) == ("production", "v2", "c0ffee")
    assert (found.repository, found.actor, found.url) == ("acme/shop", "octocat", "https://example.com/log")
    assert (found.requested_at, found.at, found.began_at) == (minutes(0), minutes(5), None)
    assert found.description == "rolled out"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("pending", Status.PENDING),
        ("queued", Status.PENDING),
        ("waiting", Status.PENDING),
        ("in_progress", Status.IN_PROGRESS),
        ("success", Status.SUCCEEDED),
        ("failure", Status.FAILED),
        ("error", Status.FAILED),
        ("inactive", Status.INACTIVE),
    ],
)
def test_each_state_of_a_deployment_has_a_status(state: str, status: Status) -> None:
    assert read_report("deployment_status", deployment_status(state)).status is status


def test_a_deployment_is_pending_since_it_was_created() -> None:
    found = read_report("deployment", without(deployment_status(), "deployment_status"))
    assert (found.status, found.at, found.url) == (
        Status.PENDING,
        minutes(0),
        "https://example.com/acme/shop/deployments",
    )


def test_only_progress_tells_when_the_rollout_began() -> None:
    assert read_report("deployment_status", deployment_status("in_progress")).began_at == minutes(5)


@pytest.mark.parametrize(
    ("payload", "services", "service"),
    [
        ({"service": "cart"}, {"acme/shop": "mapped"}, "cart"),
        ({"service.name": "cart"}, {}, "cart"),
        ('{"service": "cart"}', {}, "cart"),
        ({}, {"acme/shop@production": "exact", "acme/shop": "mapped"}, "exact"),
        ({}, {"acme/shop": "mapped"}, "mapped"),
        ({}, {"acme/shop@staging": "other"}, "shop"),
        ("not json", {}, "shop"),
        ("[1]", {}, "shop"),
        (None, {}, "shop"),
        ([], {}, "shop"),
    ],
)
def test_the_service_is_the_payloads_then_the_mapped_then_the_repository(
    payload: object, services: dict[str, str], service: str
) -> None:
    body = deployment_status()
    body["deployment"]["payload"] = payload
    assert read_report("deployment_status", body, GithubRules(services=services)).service == service


@pytest.mark.parametrize(
    "path",
    [
        "deployment_status",
        "deployment_status.state",
        "deployment",
        "deployment.id",
        "deployment.created_at",
        "repository.name",
        "repository.full_name",
    ],
)
def test_a_missing_field_is_named(path: str) -> None:
    with pytest.raises(InvalidInput, match=f"`{re.escape(path)}`") as refused:
        read("deployment_status", without(deployment_status(), path), RULES)
    assert refused.value.reason == "missing_field"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("deployment_status.state", "sideways"),
        ("deployment_status.state", 3),
        ("deployment_status.updated_at", "yesterday"),
        ("deployment.id", True),
        ("deployment.id", -1),
        ("deployment.id", 2**64),
        ("deployment.sha", "\x00"),
        ("deployment.ref", "\ud800"),
        ("deployment.ref", "x" * 256),
        ("repository.name", ["shop"]),
        ("deployment", "text"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(path: str, value: object) -> None:
    body = deployment_status()
    body["deployment"]["payload"] = {}
    parent, _, last = path.rpartition(".")
    (body[parent] if parent else body)[last] = value
    with pytest.raises(InvalidInput, match=f"`{re.escape(path)}`") as refused:
        read("deployment_status", body, RULES)
    assert refused.value.reason == "bad_field"


def test_links_that_are_not_web_addresses_are_dropped() -> None:
    body = deployment_status()
    body["deployment_status"]["target_url"] = "javascript:alert(1)"
    assert read_report("deployment_status", body).url == "https://example.com/acme/shop/deployments"


def test_a_workflow_run_is_read_whole() -> None:
    found = read_report("workflow_run", workflow_run())
    assert (found.external_id, found.status, found.service) == ("workflow_run/11/2", Status.SUCCEEDED, "shop")
    assert (found.requested_at, found.began_at, found.at) == (minutes(0), minutes(0), minutes(4))
    assert (found.version, found.revision, found.description) == ("", "c0ffee", "Ship it")


@pytest.mark.parametrize(
    ("status", "conclusion", "expected"),
    [
        ("requested", None, Status.PENDING),
        ("queued", None, Status.PENDING),
        ("waiting", None, Status.PENDING),
        ("pending", None, Status.PENDING),
        ("in_progress", None, Status.IN_PROGRESS),
        ("completed", "success", Status.SUCCEEDED),
        ("completed", "failure", Status.FAILED),
        ("completed", "timed_out", Status.FAILED),
        ("completed", "startup_failure", Status.FAILED),
        ("completed", "cancelled", Status.FAILED),
        ("completed", "action_required", Status.PENDING),
        ("completed", "neutral", Status.INACTIVE),
        ("completed", "skipped", Status.INACTIVE),
        ("completed", "stale", Status.INACTIVE),
    ],
)
def test_each_status_and_conclusion_of_a_run_has_a_status(status: str, conclusion: object, expected: Status) -> None:
    assert read_report("workflow_run", workflow_run(status=status, conclusion=conclusion)).status is expected


@pytest.mark.parametrize(
    ("name", "path", "deploys"),
    [
        ("Deploy", ".github/workflows/x.yml", True),
        ("", ".github/workflows/release.yml", True),
        ("Rollout to eu", "", True),
        ("test", ".github/workflows/test.yml", False),
        ("test", "deploy/.github/workflows/test.yml", False),
        ("test", ".github/workflows/deploy.yml", True),
        ("Release Drafter", ".github/workflows/release.yml", False),
        ("release-please", ".github/workflows/release.yml", False),
        ("Deploy", ".github/workflows/deploy-preview.yml", False),
        ("Lint deploy scripts", "", False),
        ("Deploy docs", "", False),
        ("Release notes", "", False),
        ("Deploy (dry-run)", "", False),
        ("Test release", "", False),
        ("Deploy latest contest", "", True),
    ],
)
def test_only_workflows_named_for_it_deploy(name: str, path: str, deploys: bool) -> None:
    found = read("workflow_run", workflow_run(name=name, path=path), RULES)
    assert isinstance(found, Report) is deploys
    assert deploys or found is Ignored.NOT_A_DEPLOY_WORKFLOW


def test_which_workflows_deploy_can_be_configured() -> None:
    rules = GithubRules(deploying_workflow=re.compile("^ship$"))
    assert isinstance(read("workflow_run", workflow_run(name="ship"), rules), Report)
    assert read("workflow_run", workflow_run(), rules) is Ignored.NOT_A_DEPLOY_WORKFLOW


def test_a_rule_that_was_written_is_believed_whatever_else_a_name_says() -> None:
    rules = GithubRules(deploying_workflow=re.compile("(?i)draft"))
    assert (rules.by_default, RULES.by_default) == (False, True)
    assert isinstance(read("workflow_run", workflow_run(name="Release Drafter"), rules), Report)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"event": "pull_request"}, Ignored.PULL_REQUEST),
        ({"event": "pull_request_target"}, Ignored.PULL_REQUEST),
        ({"event": "merge_group"}, Ignored.PULL_REQUEST),
        ({"event": "push", "head_repository": {"full_name": "stranger/shop"}}, Ignored.FORK),
        ({"event": "push", "head_repository": {"full_name": "Acme/Shop"}}, None),
        ({"event": "push", "head_repository": None}, None),
        ({"event": "workflow_dispatch"}, None),
        ({"event": "schedule"}, None),
    ],
)
@pytest.mark.parametrize("rules", [RULES, GithubRules(deploying_workflow=re.compile("Deploy"))])
def test_runs_for_a_pull_request_or_of_a_fork_change_nothing_that_runs(
    changes: dict[str, Any], why: Ignored | None, rules: GithubRules
) -> None:
    found = read("workflow_run", workflow_run(**changes), rules)
    assert found is why if why else isinstance(found, Report)


@pytest.mark.parametrize(
    ("ref", "payload", "version"),
    [("main", {}, ""), ("v2.1", {}, "v2.1"), ("main", {"version": 42}, "42"), ("refs/pull/7/merge", {}, "")],
)
def test_the_version_is_the_payloads_else_the_tag_and_never_a_branch(
    ref: str, payload: dict[str, Any], version: str
) -> None:
    body = deployment_status()
    body["deployment"] |= {"ref": ref, "payload": payload}
    assert read_report("deployment_status", body).version == version


@pytest.mark.parametrize(("flag", "kind"), [(True, Kind.PREVIEW), (False, Kind.DEPLOY), (None, Kind.DEPLOY)])
@pytest.mark.parametrize("event", ["deployment", "deployment_status"])
def test_a_deployment_to_a_transient_environment_is_a_preview(flag: object, kind: Kind, event: str) -> None:
    body = deployment_status()
    body["deployment"]["transient_environment"] = flag
    assert read_report(event, body).kind is kind


def test_a_conclusion_nobody_knows_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="success"):
        read("workflow_run", workflow_run(conclusion="meh"), RULES)


def test_a_second_attempt_is_another_deploy() -> None:
    first = read_report("workflow_run", workflow_run(run_attempt=1))
    second = read_report("workflow_run", workflow_run(run_attempt=2))
    assert first.external_id != second.external_id


def test_ping_and_other_events_tell_of_no_deploy() -> None:
    assert read("ping", {"zen": "keep it simple"}, RULES) is Ignored.PING
    assert read("star", {}, RULES) is Ignored.UNSUPPORTED_EVENT


def test_times_with_an_offset_are_read_in_utc() -> None:
    found = read_report("deployment_status", deployment_status(at="2026-05-04T14:05:00+02:00"))
    assert found.at == minutes(5)
    assert found.at.tzinfo is UTC
    assert found.at == datetime(2026, 5, 4, 12, 5, tzinfo=UTC)
