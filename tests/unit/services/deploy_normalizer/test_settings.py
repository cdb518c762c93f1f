"""Settings from the environment, and what is said about unusable ones."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.deploy_normalizer.settings import DeployNormalizerSettings


def test_nothing_set_means_default_ports_and_closed_doors() -> None:
    settings = DeployNormalizerSettings()
    assert (settings.health_port, settings.deploy_grpc_port) == (8081, 50052)
    assert settings.github_secrets.of("acme") == ()
    assert settings.argocd_tokens.of("acme") == ()


def test_secrets_mapping_and_workflows_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRET", "shared")
    monkeypatch.setenv("GITHUB_WEBHOOK_SECRETS", '{"acme": ["new", "old"]}')
    monkeypatch.setenv("ARGOCD_WEBHOOK_TOKENS", '{"acme": ["token"]}')
    monkeypatch.setenv("GITHUB_SERVICE_MAP", '{"acme/shop": "checkout"}')
    monkeypatch.setenv("GITHUB_DEPLOY_WORKFLOWS", "^ship$")
    settings = DeployNormalizerSettings()
    assert settings.github_secrets.of("other") == ("shared",)
    assert settings.github_secrets.of("acme") == ("new", "old")
    assert settings.argocd_tokens.of("acme") == ("token",)
    assert settings.github_rules.services == {"acme/shop": "checkout"}
    assert settings.github_rules.deploying_workflow.search("ship")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_DEPLOY_WORKFLOWS", "("),
        ("GITHUB_SERVICE_MAP", '{"acme/shop": ""}'),
        ("GITHUB_WEBHOOK_SECRETS", '{"acme": {"hunter2": 1}}'),
        ("DEPLOY_GRPC_PORT", "70000"),
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
