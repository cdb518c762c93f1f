"""Argo CD's notifications, in the form of our template, become reports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import services.deploy_normalizer
from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain import argocd
from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Report, Status, combine
from services.deploy_normalizer.domain.lineage import lineage
from services.deploy_normalizer.domain.mapping import parse_rules
from tests.unit.services.deploy_normalizer.world import argocd_sync, minutes, without

TEMPLATE = Path(services.deploy_normalizer.__file__).parent / "argocd-notifications.yaml"


def test_a_sync_is_read_whole() -> None:
    found = argocd.read(argocd_sync())
    assert found.external_id == "argocd/checkout-prod@2026-05-04T12:00:00+00:00"
    assert (found.status, found.service, found.environment) == (Status.SUCCEEDED, "checkout", "production")
    assert (found.version, found.revision, found.actor) == ("1.4.2", "c0ffee", "octocat")
    assert (found.began_at, found.at) == (minutes(0), minutes(1))
    assert found.description == "successfully synced"


@pytest.mark.parametrize(
    ("phase", "health", "status"),
    [
        ("Running", "Healthy", Status.IN_PROGRESS),
        ("Terminating", "Healthy", Status.IN_PROGRESS),
        ("Failed", "Healthy", Status.FAILED),
        ("Error", "", Status.FAILED),
        ("Succeeded", "", Status.SUCCEEDED),
        ("Succeeded", "Healthy", Status.SUCCEEDED),
        ("Succeeded", "Progressing", Status.IN_PROGRESS),
        ("Succeeded", "Suspended", Status.IN_PROGRESS),
        ("Succeeded", "Missing", Status.IN_PROGRESS),
        ("Succeeded", "Unknown", Status.IN_PROGRESS),
        ("Succeeded", "Degraded", Status.FAILED),
        ("Succeeded", "Of A Kind Nobody Knows", Status.IN_PROGRESS),
    ],
)
def test_a_sync_has_succeeded_only_when_the_application_is_well(phase: str, health: str, status: Status) -> None:
    assert argocd.read(argocd_sync(operation_phase=phase, health_status=health)).status is status


def test_a_running_sync_needs_no_end() -> None:
    found = argocd.read(argocd_sync(operation_phase="Running", finished_at=None))
    assert (found.at, found.began_at) == (minutes(0), minutes(0))


def test_each_sync_of_an_application_is_a_deploy_of_its_own() -> None:
    again = argocd_sync(started_at="2026-05-04T13:00:00Z", finished_at="2026-05-04T13:01:00Z")
    assert argocd.read(argocd_sync()).external_id != argocd.read(again).external_id


@pytest.mark.parametrize("path", ["app", "operation_phase", "started_at", "finished_at"])
def test_a_missing_field_is_named(path: str) -> None:
    with pytest.raises(InvalidInput, match=f"`{path}`") as refused:
        argocd.read(without(argocd_sync(), path))
    assert refused.value.reason == "missing_field"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("operation_phase", "Dancing"),
        ("images", "checkout:1"),
        ("images", [1]),
        ("revisions", "c0ffee"),
        ("revisions", [1]),
        ("revisions", ["a"] * 101),
        ("sources", {}),
        ("sources", ["https://example.com/acme/shop"]),
        ("sources", [{"repoURL": 5}]),
        ("started_at", "12:00"),
        ("started_at", "2026-05-04T12:00:00"),
        ("started_at", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"`{field}`") as refused:
        argocd.read(argocd_sync(**{field: value}))
    assert refused.value.reason == "bad_field"


def test_gos_zero_time_is_no_time() -> None:
    with pytest.raises(InvalidInput, match="`finished_at`") as refused:
        argocd.read(argocd_sync(finished_at="0001-01-01T00:00:00Z"))
    assert refused.value.reason == "missing_field"


@pytest.mark.parametrize(
    ("images", "version"),
    [
        (["a/checkout:1.4.2@sha256:abc"], "1.4.2"),
        (["a/checkout-prod:9", "b/other:1"], "9"),
        (["b/other:1"], "1"),
        (["b/other:1", "c/another:2"], "c0ffee"),
        (["a/checkout"], "c0ffee"),
        (["a/checkout@sha256:abc"], "c0ffee"),
        ([], "c0ffee"),
        (None, "c0ffee"),
    ],
)
def test_the_version_is_the_tag_of_the_services_image_else_the_revision(images: object, version: str) -> None:
    assert argocd.read(argocd_sync(images=images)).version == version


@pytest.mark.parametrize(
    ("address", "repository"),
    [
        ("https://user:pass@example.com/acme/shop.git", "acme/shop"),
        ("git@example.com:acme/shop.git", "acme/shop"),
        ("https://example.com/acme/shop/", "acme/shop"),
        ("https://charts.example.com", ""),
        ("", ""),
    ],
)
def test_the_repository_is_named_without_host_or_credentials(address: str, repository: str) -> None:
    assert argocd.read(argocd_sync(repository=address)).repository == repository


CHART = {"repoURL": "https://charts.example.com", "chart": "payments"}
VALUES = {"repoURL": "https://user:pass@example.com/acme/values.git", "chart": ""}


def several(revisions: object, *sources: object, **changes: object) -> Report:
    return argocd.read(argocd_sync(revision=None, repository="", revisions=revisions, sources=list(sources), **changes))


def test_of_several_sources_all_revisions_are_known_and_where_they_are_from() -> None:
    found = several(["1.2.3", "9a2b"], CHART, VALUES, images=[])
    assert (found.revision, found.version, found.repository) == ("1.2.3, 9a2b", "1.2.3", "acme/values")
    assert found.description == "successfully synced; sources: payments@1.2.3, acme/values@9a2b"


@pytest.mark.parametrize(
    ("revisions", "sources", "revision"),
    [
        (["1f0c", "9a2b"], (), "1f0c, 9a2b"),
        (["1f0c", None], (VALUES, VALUES), "1f0c"),
        ([None, "9a2b"], (CHART, VALUES), "9a2b"),
        (["", "<no value>"], (VALUES,), ""),
        (["1f0c"], (None, VALUES), "1f0c"),
        (["a" * 40] * 9, (), ", ".join(["a" * 12] * 9)),
        (None, (), ""),
        ([], (), ""),
    ],
)
def test_revisions_that_are_null_leave_the_others_known(
    revisions: object, sources: tuple[object, ...], revision: str
) -> None:
    assert several(revisions, *sources).revision == revision


def test_a_change_of_any_source_is_a_new_revision_and_the_same_again_is_none() -> None:
    def deploy(minute: int, *revisions: str) -> Deploy:
        at = f"2026-05-04T12:{minute:02}:00Z"
        return combine("acme", [several(list(revisions), CHART, VALUES, started_at=at, finished_at=at)])

    first, second, third = deploy(1, "1.2.3", "9a2b"), deploy(2, "1.2.3", "77aa"), deploy(3, "1.2.3", "9a2b")
    again = deploy(4, "1.2.3", "9a2b")
    assert lineage(second, [first]).movement is Movement.NEW
    assert lineage(third, [first, second]).movement is Movement.ROLLBACK
    assert lineage(again, [first, second, third]).movement is Movement.REDEPLOY


def test_rules_may_know_an_application_by_any_of_its_repositories() -> None:
    rules = parse_rules({"rules": [{"service": "payments", "match": {"repository": "acme/values"}}]})
    body = argocd_sync(service="", revisions=["1", "2"], sources=[{"repoURL": "git@example.com:acme/x.git"}, VALUES])
    assert argocd.read(body, rules).service == "payments"


@pytest.mark.parametrize("nothing", [None, "", "<no value>", "<nil>", "null"])
def test_what_a_template_writes_for_nothing_is_nothing(nothing: object) -> None:
    found = argocd.read(argocd_sync(revision=nothing, images=None, initiated_by=nothing, environment=nothing))
    assert (found.revision, found.version, found.actor, found.environment) == ("", "", "", "production")


@pytest.mark.parametrize(
    ("namespace", "url", "page"),
    [
        ("team-a", "https://cd.example.com/applications/checkout-prod", "/applications/team-a/checkout-prod"),
        ("team-a", "https://cd.example.com/applications/team-a/checkout-prod", "/applications/team-a/checkout-prod"),
        ("", "https://cd.example.com/applications/checkout-prod", "/applications/checkout-prod"),
        ("team-a", "https://cd.example.com/elsewhere", "/elsewhere"),
    ],
)
def test_the_link_of_an_application_in_any_namespace_has_it(namespace: str, url: str, page: str) -> None:
    assert argocd.read(argocd_sync(namespace=namespace, url=url)).url == f"https://cd.example.com{page}"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"app": "shop-pr-12"}, Kind.PREVIEW), ({"destination_namespace": "preview-12"}, Kind.PREVIEW), ({}, Kind.DEPLOY)],
)
def test_an_application_of_a_pull_request_is_a_preview(changes: dict[str, str], kind: Kind) -> None:
    assert combine("acme", [argocd.read(argocd_sync(**changes))]).kind is kind


def test_the_service_is_the_label_then_the_application() -> None:
    assert argocd.read(argocd_sync(service="")).service == "checkout-prod"


def test_the_environment_is_the_label_then_the_namespace() -> None:
    assert argocd.read(argocd_sync(environment="eu")).environment == "eu"


def test_without_a_message_the_description_sums_up() -> None:
    assert argocd.read(argocd_sync(operation_message="")).description == "sync Synced, health Healthy, project shop"


def test_the_published_template_sends_the_fields_that_are_read() -> None:
    data = yaml.safe_load(TEMPLATE.read_text())["data"]
    body = yaml.safe_load(data["template.incidentscope-sync"])["webhook"]["incidentscope"]["body"]
    assert re.findall(r'^\s*"(\w+)":', body, re.MULTILINE) == list(argocd_sync())
    assert all(word in (argocd.__doc__ or "") for word in argocd_sync())
