"""What an operator can set. Names in upper case are the environment variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from libs.runtime.settings import ServiceSettings
from services.deploy_normalizer.domain.fields import NAME_CHARS
from services.deploy_normalizer.domain.github import DEPLOYING_WORKFLOW, GithubRules
from services.deploy_normalizer.domain.tenant_secrets import Secrets, signing_key

PerTenant = dict[str, tuple[SecretStr, ...]]
Name = Annotated[str, Field(min_length=1, max_length=NAME_CHARS)]


class DeployNormalizerSettings(ServiceSettings):
    """Ports, webhook secrets and how GitHub's repositories map to services.

    A plain secret opens the paths of one tenant, `webhook_tenant`; others send with the secret that
    `python -m scripts.webhook_secret <tenant> <provider>` derives from `webhook_root_secret`. `*_secrets` and
    `*_tokens` are JSON objects from tenant to its live secrets, `{"acme": ["new", "old"]}`, which then are the only
    ones of that tenant. Signing secrets are text, or `whsec_` and base64.

    `github_service_map` is a JSON object from `owner/name` or `owner/name@environment` to the service's name in
    telemetry; `deploy_service_rules_file` names a file of mapping rules, which come first and are read again when it
    changes.
    """

    model_config = SettingsConfigDict(hide_input_in_errors=True)  # it may be a secret

    health_port: int = Field(default=8081, ge=0, le=65535)
    """The port of the webhooks, health and metrics."""
    deploy_grpc_port: int = Field(default=50052, ge=0, le=65535)
    """The port of the gRPC lookup."""
    webhook_tenant: str = ""
    """The tenant whose webhooks are verified with the plain secrets; when empty, the anonymous tenant."""
    webhook_root_secret: SecretStr = SecretStr("")
    """What the webhook secrets of tenants without plain or own ones are derived from; give it to no sender."""
    github_webhook_secret: SecretStr = SecretStr("")
    """The secret GitHub signs its webhooks with."""
    github_webhook_secrets: PerTenant = Field(default_factory=dict)
    """The same by tenant: `{"acme": ["new", "old"]}`."""
    github_deploy_workflows: str = DEPLOYING_WORKFLOW
    """A regular expression: runs of workflows with such a name count as deploys."""
    github_service_map: dict[Name, Name] = Field(default_factory=dict)
    """A JSON object from `owner/name` or `owner/name@environment` to the service's name in telemetry."""
    argocd_webhook_token: SecretStr = SecretStr("")
    """The bearer token of Argo CD's notifications."""
    argocd_webhook_tokens: PerTenant = Field(default_factory=dict)
    """The same by tenant."""
    gitlab_webhook_token: SecretStr = SecretStr("")
    """What GitLab sends in `X-Gitlab-Token`."""
    gitlab_webhook_tokens: PerTenant = Field(default_factory=dict)
    """The same by tenant."""
    gitlab_signing_secret: SecretStr = SecretStr("")
    """GitLab's signing token (`whsec_` and base64); where a signature comes, it decides."""
    gitlab_signing_secrets: PerTenant = Field(default_factory=dict)
    """The same by tenant."""
    generic_webhook_secret: SecretStr = SecretStr("")
    """What anything else signs its webhooks with: text, or `whsec_` and base64."""
    generic_webhook_secrets: PerTenant = Field(default_factory=dict)
    """The same by tenant."""
    deploy_service_rules_file: Path | None = None
    """A YAML or JSON file of mapping rules from repositories to services; read again when it changes."""

    @field_validator("deploy_service_rules_file", mode="before")
    @classmethod
    def _none_when_empty(cls, path: object) -> object:
        return path or None

    @field_validator("gitlab_signing_secret", "generic_webhook_secret")
    @classmethod
    def _signs(cls, secret: SecretStr) -> SecretStr:
        signing_key(secret.get_secret_value())
        return secret

    @field_validator("gitlab_signing_secrets", "generic_webhook_secrets")
    @classmethod
    def _all_sign(cls, secrets: PerTenant) -> PerTenant:
        for live in secrets.values():
            for secret in live:
                signing_key(secret.get_secret_value())
        return secrets

    @field_validator("github_deploy_workflows")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as exc:
            raise ValueError(f"not a regular expression: {exc}") from exc
        return pattern

    @property
    def github_secrets(self) -> Secrets:
        """Return what GitHub's webhooks are verified with."""
        return self._secrets("github", self.github_webhook_secret, self.github_webhook_secrets)

    @property
    def argocd_tokens(self) -> Secrets:
        """Return what Argo CD's notifications must bear."""
        return self._secrets("argocd", self.argocd_webhook_token, self.argocd_webhook_tokens)

    @property
    def gitlab_tokens(self) -> Secrets:
        """Return what GitLab's webhooks must bear in `X-Gitlab-Token`."""
        return self._secrets("gitlab", self.gitlab_webhook_token, self.gitlab_webhook_tokens)

    @property
    def gitlab_signing(self) -> Secrets:
        """Return what GitLab's signed webhooks are verified with."""
        return self._secrets("gitlab-signing", self.gitlab_signing_secret, self.gitlab_signing_secrets)

    @property
    def generic_secrets(self) -> Secrets:
        """Return what the generic door's webhooks are verified with."""
        return self._secrets("generic", self.generic_webhook_secret, self.generic_webhook_secrets)

    def _secrets(self, provider: str, plain: SecretStr, per_tenant: PerTenant) -> Secrets:
        own = {tenant: [s.get_secret_value() for s in secrets] for tenant, secrets in per_tenant.items()}
        root, tenant = self.webhook_root_secret.get_secret_value(), self.webhook_tenant or self.anonymous_tenant
        return Secrets(plain.get_secret_value(), own, tenant, root, provider)

    @property
    def github_rules(self) -> GithubRules:
        """Return how GitHub's payloads are read."""
        return GithubRules(re.compile(self.github_deploy_workflows), self.github_service_map)
