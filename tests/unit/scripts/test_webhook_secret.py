"""The command that prints a tenant's webhook secret."""

from __future__ import annotations

import sys

import pytest

from scripts.webhook_secret import VARIABLES, main
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.settings import DeployNormalizerSettings


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["webhook_secret", *arguments])
    return main()


def test_it_prints_what_the_tenants_webhooks_are_verified_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in VARIABLES.values():
        monkeypatch.setenv(variable, "plain")
    settings = DeployNormalizerSettings()
    doors: dict[str, Secrets] = {
        "github": settings.github_secrets, "gitlab": settings.gitlab_tokens, "argocd": settings.argocd_tokens,
        "gitlab-signing": settings.gitlab_signing, "generic": settings.generic_secrets,
    }  # fmt: skip
    for provider in VARIABLES:
        assert run(monkeypatch, "acme", provider) == 0
        assert (capsys.readouterr().out.strip(),) == doors[provider].of("acme"), provider


@pytest.mark.parametrize(
    ("plain", "says"), [("", "GITLAB_SIGNING_SECRET is not set"), ("whsec_%", "the secret is not base64 behind whsec_")]
)
def test_without_a_usable_secret_it_says_so_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], plain: str, says: str
) -> None:
    monkeypatch.setenv("GITLAB_SIGNING_SECRET", plain)
    assert run(monkeypatch, "acme", "gitlab-signing") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert says in told.err
