"""The command that prints a tenant's webhook secret."""

from __future__ import annotations

import sys

import pytest

from scripts.webhook_secret import PROVIDERS, VARIABLE, main
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.settings import DeployNormalizerSettings


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["webhook_secret", *arguments])
    return main()


def test_it_prints_what_the_tenants_webhooks_are_verified_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "root")
    settings = DeployNormalizerSettings()
    doors: dict[str, Secrets] = {
        "github": settings.github_secrets, "gitlab": settings.gitlab_tokens, "argocd": settings.argocd_tokens,
        "gitlab-signing": settings.gitlab_signing, "generic": settings.generic_secrets,
    }  # fmt: skip
    for provider in PROVIDERS:
        assert run(monkeypatch, "acme", provider) == 0
        assert (capsys.readouterr().out.strip(),) == doors[provider].of("acme"), provider


def test_without_a_root_secret_it_says_so_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert run(monkeypatch, "acme", "github") == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "webhook_secret: WEBHOOK_ROOT_SECRET is not set\n")
