"""A tag may be a version, a branch is none."""

from __future__ import annotations

import pytest

from services.deploy_normalizer.domain.refs import version_of


@pytest.mark.parametrize(
    "ref",
    [
        "v2", "2", "1.4.2", "v1.4.2-rc.1", "1.4.2+build.5", "2026.05.04", "release-77", "r12", "build-123",
        "v1.0.0-beta", "checkout@1.4.2", "@acme/checkout@1.4.2", "checkout-v1.4.2", "services/checkout/v1.4.2", "1_2_3",
        "V2.0-SNAPSHOT",
    ],
)  # fmt: skip
def test_a_tags_name_is_a_version(ref: str) -> None:
    assert version_of(ref) == ref


@pytest.mark.parametrize(
    "ref",
    [
        "main", "master", "develop", "feature/PROJ-123", "123-fix-login", "release/1.2", "hotfix/v1.2.3", "1.x", "HEAD",
        "dependabot/npm_and_yarn/lodash-4.17.21", "refs/heads/v2", "refs/pull/7/merge", "gh-readonly-queue/main/pr-7",
        "c0ffee12" * 5, "1234567890" * 4, "", "v", "renovate/node-20",
    ],
)  # fmt: skip
def test_a_branch_or_a_commit_is_none(ref: str) -> None:
    assert version_of(ref) == ""


def test_what_is_pushed_as_a_tag_is_one_whatever_its_name() -> None:
    assert version_of("refs/tags/nightly") == "nightly"


@pytest.mark.parametrize("ref", ["1" + ".a" * 120 + "!", "v" * 255, "1-" * 120 + "x", "a-v" * 80 + "x", "@" * 250])
def test_odd_refs_are_judged_at_once(ref: str) -> None:
    assert version_of(ref) == ""
