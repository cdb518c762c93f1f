"""Settings from the environment, and what is said about unusable ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.deploy_normalizer.domain.tenant_secrets import derived
from services.deploy_normalizer.settings import DeployNormalizerSettings


def test_nothing_set_means_default_ports_and_closed_doors() -> None:
    settings = DeployNormalizerSettings()
    assert (settings.health_port, settings.deploy_grpc_port) == (8081, 50052)
    assert settings.github_secrets.of("acme") == ()
    assert settings.argocd_tokens.of("acme") == ()
    assert settings.gitlab_tokens.of("acme") == settings.gitlab_signing.of("acme") == ()
    assert settings.generic_secrets.of("acme") == ()
    assert settings.deploy_service_rules_file is None


def test_secrets_mapping_and_workflows_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "shared")
    monkeypatch.setenv("WEBHOOK_TENANT", "other")
    monkeypatch.setenv("WEBHOOK_ROOT_SECRET", "root")
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRETS", '{"acme": ["new", "old"]}')
    monkeypatch.setenv("ARGOCD_WEBHOOK_TOKENS", '{"acme": ["token"]}')
    monkeypatch.setenv("GITLAB_WEBHOOK_TOKEN", "tanuki")
    monkeypatch.setenv("GITLAB_SIGNING_SECRETS", '{"acme": ["whsec_c2VjcmV0"]}')
    monkeypatch.setenv("GENERIC_WEBHOOK_SECRET", "shared")
    monkeypatch.setenv("DEPLOY_SERVICE_RULES_FILE", "rules.yaml")
    monkeypatch.setenv("GITHUB_SERVICE_MAP", '{"acme/shop": "checkout"}')
    monkeypatch.setenv("GITHUB_DEPLOY_WORKFLOWS", "^ship$")
    settings = DeployNormalizerSettings()
    assert settings.github_secrets.of("other") == ("shared",)
    assert settings.github_secrets.of("third") == (derived("root", "github", "third"),)
    assert settings.github_secrets.of("acme") == ("new", "old")
    assert settings.argocd_tokens.of("acme") == ("token",)
    assert settings.gitlab_tokens.of("other") == ("tanuki",)
    assert settings.gitlab_signing.of("acme") == ("whsec_c2VjcmV0",)
    assert settings.generic_secrets.of("other") == ("shared",)
    assert settings.deploy_service_rules_file == Path("rules.yaml")
    assert settings.github_rules.services == {"acme/shop": "checkout"}
    assert settings.github_rules.deploying_workflow.search("ship")


def test_the_anonymous_tenant_is_the_one_of_the_plain_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENERIC_WEBHOOK_SECRET", "plain")
    monkeypatch.setenv("INCIDENTSCOPE_ANONYMOUS_TENANT", "default")
    settings = DeployNormalizerSettings()
    assert settings.generic_secrets.of("default") == ("plain",)
    assert settings.generic_secrets.of("acme") == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_DEPLOY_WORKFLOWS", "("),
        ("GITHUB_SERVICE_MAP", '{"acme/shop": ""}'),
        ("GITHUB_WEBHOOK_SECRETS", '{"acme": {"hunter2": 1}}'),
        ("DEPLOY_GRPC_PORT", "70000"),
        ("GITLAB_SIGNING_SECRET", "whsec_hunter2!"),
        ("GITLAB_SIGNING_SECRETS", '{"acme": ["whsec_%"]}'),
        ("GENERIC_WEBHOOK_SECRETS", '{"acme": ["fine", "whsec_="]}'),
    ],
)
def test_an_unusable_setting_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        DeployNormalizerSettings()
    assert name.lower() in str(refused.value)
    assert value not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_secrets_do_not_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "hunter2")
    assert "hunter2" not in repr(DeployNormalizerSettings())
