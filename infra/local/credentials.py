"""Secrets made once per home folder: `secrets.json`, readable by its owner only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.local.errors import LocalStackError
from infra.local.state import write_atomically
from libs.access.directory import new_key

TENANT = "default"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What programs need to be let in."""

    api_key: str
    github_webhook_secret: str
    argocd_webhook_token: str
    gitlab_webhook_token: str
    generic_webhook_secret: str
    webhook_root_secret: str
    postgres_password: str
    postgres_service_password: str
    service_secret: str


_MAKE: dict[str, Callable[[], str]] = {
    "api_key": new_key,
    "github_webhook_secret": lambda: secrets.token_urlsafe(32),
    "argocd_webhook_token": lambda: secrets.token_urlsafe(32),
    "gitlab_webhook_token": lambda: secrets.token_urlsafe(32),
    "generic_webhook_secret": lambda: secrets.token_urlsafe(32),
    "webhook_root_secret": lambda: secrets.token_urlsafe(32),
    "postgres_password": lambda: secrets.token_urlsafe(24),
    "postgres_service_password": lambda: secrets.token_urlsafe(24),
    "service_secret": lambda: secrets.token_urlsafe(32),
}

FIRST = {"api_key", "github_webhook_secret", "argocd_webhook_token", "postgres_password"}  # in every home's file


def ensure(home: Path) -> Credentials:
    """Return the home's credentials, made at the first call; raises LocalStackError when a file is damaged."""
    path = home / "secrets.json"
    known = _read(path) if path.exists() else {}
    credentials = Credentials(**({name: make() for name, make in _MAKE.items() if name not in known} | known))
    if asdict(credentials) != known:  # also a home made before there was one of them
        write_atomically(path, json.dumps(asdict(credentials), indent=2) + "\n", 0o600)
    return credentials


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict) or not FIRST <= set(found) <= set(_MAKE):
            raise ValueError("it does not hold what it should")
    except (ValueError, TypeError) as exc:
        raise LocalStackError(f"{path} is damaged ({exc}): put it back, or wipe with `down --wipe`") from exc
    return found
