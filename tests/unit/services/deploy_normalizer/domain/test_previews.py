"""Which environments are those of a branch or a pull request."""

from __future__ import annotations

import pytest

from services.deploy_normalizer.domain.deploy import Kind, Status, combine
from services.deploy_normalizer.domain.lineage import lineage
from services.deploy_normalizer.domain.previews import is_preview
from tests.unit.services.deploy_normalizer.world import minutes, report


@pytest.mark.parametrize(
    "environment",
    [
        "preview/pr-4711", "preview", "Preview \u2013 shop", "review/my-branch", "review-app", "reviewapps", "pr-12",
        "shop PR #12", "deploy-preview-12", "mr12", "pull/7", "shop-pr-7-eu", "ephemeral-3f", "REVIEW_12",
    ],
)  # fmt: skip
def test_a_previews_name_says_so(environment: str) -> None:
    assert is_preview(environment)


@pytest.mark.parametrize(
    "environment",
    ["", "production", "prod-12", "staging", "pr", "press", "overview", "spree-12", "pre-production", "eu1", "gpr12"],
)
def test_other_environments_stay(environment: str) -> None:
    assert not is_preview(environment)


def test_one_report_or_the_environment_makes_a_deploy_a_preview_and_no_other_kind() -> None:
    said = [report(Status.PENDING, kind=Kind.PREVIEW), report(Status.SUCCEEDED, minutes(5))]
    assert combine("acme", said).kind is Kind.PREVIEW
    assert combine("acme", reversed(said)).kind is Kind.PREVIEW
    assert combine("acme", [report(Status.SUCCEEDED, environment="review/x")]).kind is Kind.PREVIEW
    assert combine("acme", [report(Status.SUCCEEDED)]).kind is Kind.DEPLOY
    changed = report(Status.SUCCEEDED, environment="review/x", kind=Kind.CONFIGURATION)
    assert combine("acme", [changed]).kind is Kind.CONFIGURATION


def test_what_ran_in_a_preview_ran_nowhere_yet() -> None:
    preview = combine("acme", [report(Status.SUCCEEDED, minutes(1), external_id="p", environment="review/x")])
    real = combine("acme", [report(Status.SUCCEEDED, minutes(9), external_id="r", requested_at=minutes(5))])
    assert lineage(real, [preview]).movement.value == "new"
    assert lineage(preview, []).movement.value == "unknown"
