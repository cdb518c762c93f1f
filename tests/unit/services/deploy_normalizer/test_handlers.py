"""What a webhook does, from its raw bytes to what is kept and announced."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from libs.kernel.errors import InvalidInput
from libs.kernel.timewindow import TimeWindow
from services.deploy_normalizer.domain.deploy import Status
from services.deploy_normalizer.domain.github import GithubRules
from services.deploy_normalizer.domain.query import DeployQuery, place_after
from services.deploy_normalizer.domain.signature import Verdict
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.handlers.answers import Answer, NotAuthentic, Outcome
from services.deploy_normalizer.handlers.lookup import DeployLookup
from services.deploy_normalizer.handlers.webhooks import ArgocdWebhook, GithubWebhook, GitlabWebhook
from tests.unit.services.deploy_normalizer.deploy_store_suite import deploys_at, starts
from tests.unit.services.deploy_normalizer.world import (
    SECRET,
    TOKEN,
    MemoryDeploys,
    argocd_sync,
    as_bytes,
    deployment_status,
    github_headers,
    gitlab_deployment,
    minutes,
    workflow_run,
)

ARGO_HEADERS = {"content-type": "application/json", "authorization": f"Bearer {TOKEN}"}


def github(store: MemoryDeploys, secret: str = SECRET) -> GithubWebhook:
    return GithubWebhook(store, Secrets(secret, tenant="acme"), GithubRules())


def send(webhook: GithubWebhook | GitlabWebhook | ArgocdWebhook, headers: Mapping[str, str], body: bytes) -> Answer:
    return asyncio.run(webhook.receive("acme", headers, body))


def test_a_deployment_status_is_kept_and_announced() -> None:
    store, body = MemoryDeploys(), as_bytes(deployment_status())
    answer = send(github(store), github_headers(body), body)
    assert (answer.outcome, answer.reason) == (Outcome.ACCEPTED, "recorded")
    assert [(d.id, d.status, d.service) for d in store.announced] == [(answer.deploy_id, Status.SUCCEEDED, "checkout")]


def test_a_replayed_delivery_announces_nothing() -> None:
    store, body = MemoryDeploys(), as_bytes(deployment_status())
    send(github(store), github_headers(body), body)
    assert send(github(store), github_headers(body), body).reason == "duplicate_delivery"
    assert len(store.announced) == 1


def test_saying_the_same_in_another_delivery_announces_nothing() -> None:
    store, body = MemoryDeploys(), as_bytes(deployment_status())
    send(github(store), github_headers(body), body)
    assert send(github(store), github_headers(body, delivery="d-2"), body).reason == "unchanged"
    assert len(store.announced) == 1


def test_githubs_form_is_read_and_its_signature_covers_the_form() -> None:
    store = MemoryDeploys()
    body = urlencode({"payload": as_bytes(deployment_status()).decode()}).encode()
    headers = github_headers(body) | {"content-type": "application/x-www-form-urlencoded"}
    assert send(github(store), headers, body).reason == "recorded"


@pytest.mark.parametrize(
    ("event", "body", "outcome", "reason"),
    [
        ("ping", {"zen": "z"}, Outcome.ACCEPTED, "ping"),
        ("star", {"action": "created"}, Outcome.IGNORED, "unsupported_event"),
        ("workflow_run", workflow_run(name="test", path="t.yml"), Outcome.IGNORED, "not_a_deploy_workflow"),
    ],
)
def test_what_tells_of_no_deploy_is_answered_with_the_reason(
    event: str, body: dict[str, Any], outcome: Outcome, reason: str
) -> None:
    store, raw = MemoryDeploys(), as_bytes(body)
    answer = send(github(store), github_headers(raw, event), raw)
    assert (answer.outcome, answer.reason) == (outcome, reason)
    assert store.announced == []


def test_a_repository_that_sends_deployments_is_believed_before_its_workflows() -> None:
    store = MemoryDeploys()
    first, later = as_bytes(workflow_run(id=1, status="queued", conclusion=None)), as_bytes(workflow_run(id=2))
    assert send(github(store), github_headers(first, "workflow_run", "d-1"), first).reason == "recorded"
    told = as_bytes(deployment_status())
    assert send(github(store), github_headers(told, delivery="d-2"), told).reason == "recorded"

    refused = send(github(store), github_headers(later, "workflow_run", "d-3"), later)
    assert (refused.outcome, refused.reason) == (Outcome.IGNORED, "deployments_tell")
    ended = as_bytes(workflow_run(id=1))
    assert send(github(store), github_headers(ended, "workflow_run", "d-4"), ended).reason == "recorded"
    assert [(d.event, d.status) for d in store.announced] == [
        ("workflow_run", Status.PENDING), ("deployment_status", Status.SUCCEEDED), ("workflow_run", Status.SUCCEEDED),
    ]  # fmt: skip
    other = workflow_run(id=3) | {"repository": {"name": "cart", "full_name": "acme/cart"}}
    body = as_bytes(other)
    assert send(github(store), github_headers(body, "workflow_run", "d-5"), body).reason == "recorded"


def test_workflows_that_a_rule_names_count_beside_deployments() -> None:
    store, told, run = MemoryDeploys(), as_bytes(deployment_status()), as_bytes(workflow_run())
    rules = GithubRules(deploying_workflow=re.compile("^Deploy to production$"))
    webhook = GithubWebhook(store, Secrets(SECRET, tenant="acme"), rules)
    send(webhook, github_headers(told), told)
    assert send(webhook, github_headers(run, "workflow_run", "d-2"), run).reason == "recorded"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Release Drafter", "event": "push", "path": "release.yml"}, "not_a_deploy_workflow"),
        ({"event": "pull_request"}, "pull_request"),
        ({"head_repository": {"full_name": "stranger/shop"}}, "fork"),
    ],
)
def test_a_run_that_changes_nothing_is_answered_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    store, body = MemoryDeploys(), as_bytes(workflow_run(**changes))
    answer = send(github(store), github_headers(body, "workflow_run"), body)
    assert (answer.outcome, answer.reason, store.announced) == (Outcome.IGNORED, reason, [])
    assert answer.message


@pytest.mark.parametrize(
    ("header", "verdict"),
    [("", Verdict.MISSING), ("sha256=zz", Verdict.MALFORMED), ("sha256=" + "0" * 64, Verdict.MISMATCH)],
)
def test_the_signature_is_checked_before_the_body_is_parsed(header: str, verdict: Verdict) -> None:
    store = MemoryDeploys()
    with pytest.raises(NotAuthentic) as refused:
        send(github(store), github_headers(b"{") | {"x-hub-signature-256": header}, b"{")
    assert refused.value.verdict is verdict
    assert "X-Hub-Signature-256" in str(refused.value)


def test_without_a_secret_nothing_is_accepted() -> None:
    body = as_bytes(deployment_status())
    with pytest.raises(NotAuthentic, match="set GITHUB_WEBHOOK_SECRET") as refused:
        send(github(MemoryDeploys(), secret=""), github_headers(body), body)
    assert refused.value.verdict is Verdict.NOT_CONFIGURED


@pytest.mark.parametrize("header", ["X-GitHub-Event", "X-GitHub-Delivery"])
def test_a_missing_header_is_named(header: str) -> None:
    body = as_bytes(deployment_status())
    headers = {k: v for k, v in github_headers(body).items() if k != header.lower()}
    with pytest.raises(InvalidInput, match=header) as refused:
        send(github(MemoryDeploys()), headers, body)
    assert refused.value.reason == "missing_header"


@pytest.mark.parametrize("delivery", ["x" * 129, "a\x00b"])
def test_a_delivery_id_that_cannot_be_kept_is_refused(delivery: str) -> None:
    body = as_bytes(deployment_status())
    with pytest.raises(InvalidInput, match="X-GitHub-Delivery"):
        send(github(MemoryDeploys()), github_headers(body, delivery=delivery), body)


def test_a_sync_of_argo_cd_is_kept_and_repeating_it_announces_nothing() -> None:
    store = MemoryDeploys()
    webhook, body = ArgocdWebhook(store, Secrets(TOKEN, tenant="acme")), as_bytes(argocd_sync())
    assert send(webhook, ARGO_HEADERS, body).reason == "recorded"
    assert send(webhook, ARGO_HEADERS, body).reason == "unchanged"
    assert len(store.announced) == 1


@pytest.mark.parametrize(
    ("tokens", "header", "verdict"),
    [
        (TOKEN, "", Verdict.MISSING),
        (TOKEN, "Bearer guess", Verdict.MISMATCH),
        ("", f"Bearer {TOKEN}", Verdict.NOT_CONFIGURED),
    ],
)
def test_argo_cd_must_bear_the_token(tokens: str, header: str, verdict: Verdict) -> None:
    webhook = ArgocdWebhook(MemoryDeploys(), Secrets(tokens, tenant="acme"))
    with pytest.raises(NotAuthentic) as refused:
        send(webhook, ARGO_HEADERS | {"authorization": header}, b"{")
    assert refused.value.verdict is verdict


def test_a_look_up_gives_a_token_only_while_there_is_more() -> None:
    async def look_up() -> None:
        store = MemoryDeploys()
        await deploys_at(store, [("a", 1, 2), ("a", 2, 3), ("a", 3, 4)])
        lookup, query = DeployLookup(store), DeployQuery((), TimeWindow(minutes(0), minutes(60)))
        first, token = await lookup.page("acme", query, 2)
        after = DeployQuery((), query.window, place_after(query, token))
        second, end = await lookup.page("acme", after, 2)
        assert (starts(first), starts(second), end) == ([3, 2], [1], "")

    asyncio.run(look_up())


@pytest.mark.parametrize(
    ("payload", "service", "version", "aside"),
    [
        ({"service": {"name": "cart"}, "version": 42}, "mapped", "42", ["deployment.payload.service"]),
        ({"service": ["cart"], "version": {"a": 1}}, "mapped", "",
         ["deployment.payload.service", "deployment.payload.version"]),
        ({"service": 7, "version": 1.5}, "mapped", "", ["deployment.payload.service", "deployment.payload.version"]),
        ({"service": True}, "mapped", "", ["deployment.payload.service"]),
        ({"service.name": 7, "service": ""}, "mapped", "", ["deployment.payload.service.name"]),
        ('{"service": {"name": "cart"}, "version": "v3"}', "mapped", "v3", ["deployment.payload.service"]),
        ({"service": "x" * 256}, "mapped", "", ["deployment.payload.service"]),
        ({"service": "cart", "version": "v3"}, "cart", "v3", []),
    ],
)  # fmt: skip
def test_what_of_a_payload_cannot_be_used_is_left_aside_and_told_and_the_deploy_is_kept(
    payload: object, service: str, version: str, aside: list[str]
) -> None:
    store, said = MemoryDeploys(), deployment_status()
    said["deployment"]["payload"] = payload
    body = as_bytes(said)
    webhook = GithubWebhook(store, Secrets(SECRET, tenant="acme"), GithubRules(services={"acme/shop": "mapped"}))
    answer = send(webhook, github_headers(body), body)
    assert (answer.outcome, answer.reason) == (Outcome.ACCEPTED, "recorded")
    assert [(d.service, d.version) for d in store.announced] == [(service, version)]
    assert all(f"`{path}`" in answer.message for path in aside)
    assert ("left aside" in answer.message) is bool(aside)
    kept = [unread for deliveries in store.unread.values() for unread in deliveries]
    assert [(u.reason, u.body) for u in kept] == ([("left_aside", body)] if aside else [])


def test_a_field_of_a_wrong_type_costs_argo_cd_and_gitlab_no_deploy_either() -> None:
    store = MemoryDeploys()
    argo, sync = ArgocdWebhook(store, Secrets(TOKEN, tenant="acme")), argocd_sync(images=[1], initiated_by=["x"])
    lab = GitlabWebhook(store, Secrets(TOKEN, tenant="acme"), Secrets(""))
    headers = {"content-type": "application/json", "x-gitlab-token": TOKEN, "x-gitlab-event": "Deployment Hook"}
    told = send(argo, ARGO_HEADERS, as_bytes(sync)).message
    told += send(lab, headers, as_bytes(gitlab_deployment(environment={"name": "x"}, ref=5))).message
    assert all(f"`{path}`" in told for path in ("images", "initiated_by", "environment", "ref"))
    assert [(d.service, d.revision) for d in store.announced] == [("checkout", "c0ffee"), ("shop", "c0ffee12" * 5)]


def test_a_field_that_is_needed_is_refused_and_the_delivery_is_kept() -> None:
    store, body = MemoryDeploys(), as_bytes(argocd_sync(app=["checkout"], images=[1]))
    with pytest.raises(InvalidInput, match="`app` must be text"):
        send(ArgocdWebhook(store, Secrets(TOKEN, tenant="acme")), ARGO_HEADERS, body)
    assert store.announced == []
    assert [u.reason for deliveries in store.unread.values() for u in deliveries] == ["bad_field"]
