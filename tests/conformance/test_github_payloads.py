"""GitHub's own example payloads go through the whole door: signed, posted, kept."""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from services.deploy_normalizer.domain.deploy import Kind, Report, Status
from services.deploy_normalizer.domain.github import GithubRules, Ignored, read
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.handlers.answers import Outcome
from services.deploy_normalizer.handlers.webhooks import GithubWebhook
from tests.conformance.vectors import cases
from tests.unit.services.deploy_normalizer.world import SECRET, MemoryDeploys, github_headers

FILE = "github_webhook_payloads.json"
DEPLOYS = ("deployment", "deployment_status")
CHANGES = {
    "push-with-no-username-committer": Kind.CODE_CHANGE,
    "release-deleted-with-reactions": Kind.RELEASE,
    "release-prereleased-with-discussion-url": Kind.RELEASE,
    "release-published-with-discussion-url": Kind.RELEASE,
    "check_suite-completed": Kind.CI_OUTCOME,
    "check_suite-requested": Kind.CI_OUTCOME,
    "check_suite-requested-with-organization": Kind.CI_OUTCOME,
    "check_suite-rerequested-with-organization": Kind.CI_OUTCOME,
}


def of(*events: str) -> list[Any]:
    return [parameter for event in events for parameter in cases(FILE, event=event)]


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize("case", cases(FILE))
def test_every_published_payload_is_taken_or_ignored_for_a_reason(case: dict[str, Any], form: bool) -> None:
    event, payload = case["event"], case["payload"]
    store = MemoryDeploys()
    text = json.dumps(payload)
    body = urlencode({"payload": text}).encode() if form else text.encode()
    headers = github_headers(body, event)
    headers["content-type"] = "application/x-www-form-urlencoded" if form else headers["content-type"]
    webhook = GithubWebhook(store, Secrets(SECRET, tenant="acme"), GithubRules())
    answer = asyncio.run(webhook.receive("acme", headers, body))
    assert answer.outcome is not Outcome.REFUSED
    expected = CHANGES.get(case["id"], Kind.DEPLOY if event in DEPLOYS else None)
    assert (answer.reason == "recorded") is (expected is not None)
    assert [deploy.kind for deploy in store.announced] == ([expected] if expected else [])
    assert len(store.unread) == (1 if event == "check_run" else 0)


@pytest.mark.parametrize("case", of(*DEPLOYS))
def test_a_published_deployment_says_what_changed_where_and_when(case: dict[str, Any]) -> None:
    event, payload = case["event"], copy.deepcopy(case["payload"])
    found = read(event, payload, GithubRules())
    assert isinstance(found, Report)
    assert found.external_id == f"deployment/{payload['deployment']['id']}"
    assert found.service == payload["repository"]["name"]
    assert found.environment == payload["deployment"]["environment"]
    assert found.revision == payload["deployment"]["sha"]
    assert found.version == ""  # their refs are branches
    assert found.actor == payload["deployment"]["creator"]["login"]
    assert found.url.startswith("https://")
    assert found.requested_at <= found.at


@pytest.mark.parametrize("case", of("workflow_run"))
def test_a_published_run_counts_only_where_its_workflow_deploys(case: dict[str, Any]) -> None:
    event, payload = case["event"], copy.deepcopy(case["payload"])
    assert read(event, payload, GithubRules()) is Ignored.NOT_A_DEPLOY_WORKFLOW
    payload["workflow_run"]["path"] = ".github/workflows/deploy.yml"
    found = read(event, payload, GithubRules())
    assert isinstance(found, Report)
    completed = payload["workflow_run"]["status"] == "completed"
    assert found.status is (Status.SUCCEEDED if completed else Status.PENDING)
    assert found.service == payload["repository"]["name"]
