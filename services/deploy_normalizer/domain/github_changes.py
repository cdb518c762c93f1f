"""GitHub's other webhooks: `push` is a code change, `release` a release, `check_suite` the outcome of CI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from services.deploy_normalizer.domain import github
from services.deploy_normalizer.domain.deploy import Kind, Provider, Report, Status
from services.deploy_normalizer.domain.fields import (
    BadField,
    Json,
    identifier,
    link,
    lookup,
    optional_instant,
    optional_text,
    prose,
    required_instant,
    required_text,
    section,
)
from services.deploy_normalizer.domain.github import GithubRules, Ignored
from services.deploy_normalizer.domain.mapping import Subject
from services.deploy_normalizer.domain.refs import HEADS, TAGS, version_of

MAX_PATHS = 20_000
_PUBLISHED = ("published", "released", "prereleased")
_WITHDRAWN = ("unpublished", "deleted")
_LIST_OF_PATHS = ("added", "modified", "removed")


def read_all(event: str, body: Json, rules: GithubRules) -> tuple[Report, ...] | Ignored:
    """Return what a webhook of that `X-GitHub-Event` reports; raises MissingField or BadField."""
    match event:
        case "push":
            return _push(body, rules)
        case "release":
            found = _release(body, rules)
        case "check_suite":
            found = _check_suite(body, rules)
        case _:
            found = github.read(event, body, rules)
    return found if isinstance(found, Ignored) else (found,)


def _push(body: Json, rules: GithubRules) -> tuple[Report, ...] | Ignored:
    ref, after = required_text(body, "ref"), required_text(body, "after")
    if lookup(body, "deleted") is True or not after.strip("0"):
        return Ignored.REF_DELETED
    branch = ref.removeprefix(HEADS)
    if not ref.startswith(TAGS) and branch != optional_text(body, "repository.default_branch"):
        return Ignored.OTHER_BRANCH
    repository = required_text(body, "repository.full_name")
    subject = Subject(Provider.GITHUB, repository=repository, paths=_paths(body))
    at = _pushed_at(body)
    services = rules.mapping.services(subject) or (github.service_of(body, "", rules),)
    return tuple(
        Report(
            provider=Provider.GITHUB, external_id=f"push/{repository}/{ref}@{after}/{service}", event="push",
            status=Status.SUCCEEDED, at=at, requested_at=at, service=service, version=version_of(ref),
            revision=after, repository=repository,
            actor=optional_text(body, "sender.login") or optional_text(body, "pusher.name"),
            url=link(body, "compare"), description=prose(body, "head_commit.message"), kind=Kind.CODE_CHANGE,
        )
        for service in services
    )  # fmt: skip


def _release(body: Json, rules: GithubRules) -> Report | Ignored:
    section(body, "release")
    action = required_text(body, "action")
    if action not in (*_PUBLISHED, *_WITHDRAWN):
        return Ignored.NOT_PUBLISHED
    published = optional_instant(body, "release.published_at")
    if published is None:
        published = required_instant(body, "release.created_at")
    withdrawn = action in _WITHDRAWN
    commit = optional_text(body, "release.target_commitish")
    return Report(
        provider=Provider.GITHUB,
        external_id=f"release/{identifier(body, 'release.id')}",
        event="release",
        status=Status.INACTIVE if withdrawn else Status.SUCCEEDED,
        at=(optional_instant(body, "release.updated_at") if withdrawn else None) or published,
        requested_at=published,
        service=github.service_of(body, "", rules),
        version=required_text(body, "release.tag_name"),
        revision=commit if _is_commit(commit) else "",
        repository=required_text(body, "repository.full_name"),
        actor=optional_text(body, "release.author.login"),
        url=link(body, "release.html_url"),
        description=optional_text(body, "release.name", limit=5 * 1024 * 1024)[:1000] or prose(body, "release.body"),
        kind=Kind.RELEASE,
    )


def _check_suite(body: Json, rules: GithubRules) -> Report:
    section(body, "check_suite")
    began = required_instant(body, "check_suite.created_at")
    return Report(
        provider=Provider.GITHUB,
        external_id=f"check_suite/{identifier(body, 'check_suite.id')}",
        event="check_suite",
        status=_check_status(body),
        at=optional_instant(body, "check_suite.updated_at") or began,
        requested_at=began,
        service=github.service_of(body, "", rules),
        version=version_of(optional_text(body, "check_suite.head_branch")),
        revision=required_text(body, "check_suite.head_sha"),
        repository=required_text(body, "repository.full_name"),
        actor=optional_text(body, "sender.login"),
        url=link(body, "repository.html_url"),
        description=prose(body, "check_suite.head_commit.message"),
        kind=Kind.CI_OUTCOME,
    )


def _check_status(body: Json) -> Status:
    if lookup(body, "check_suite.status") is None and lookup(body, "check_suite.conclusion") is None:
        return Status.PENDING
    return github.run_status(body, "check_suite")


def _pushed_at(body: Json) -> datetime:
    """When it was pushed: `repository.pushed_at`, in seconds since 1970 or RFC 3339; else its last commit's time."""
    value = lookup(body, "repository.pushed_at")
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 < value < 2**33:
            raise BadField("repository.pushed_at", "is not a time in seconds since 1970")
        return datetime.fromtimestamp(value, UTC)
    return optional_instant(body, "repository.pushed_at") or required_instant(body, "head_commit.timestamp")


def _paths(body: Json) -> tuple[str, ...]:
    """The files its commits touch; GitHub lists those of the first 2048 commits."""
    commits = lookup(body, "commits")
    if commits is None:
        return ()
    if not isinstance(commits, list) or not all(isinstance(commit, Mapping) for commit in commits):
        raise BadField("commits", "must be a list of objects")
    lists = [commit.get(name) or [] for commit in commits for name in _LIST_OF_PATHS]
    if not all(isinstance(paths, list) and all(isinstance(path, str) for path in paths) for paths in lists):
        raise BadField("commits", "must list its paths as texts")
    return tuple(dict.fromkeys(path for paths in lists for path in paths))[:MAX_PATHS]


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and all(digit in "0123456789abcdef" for digit in text)
