"""Secrets made once per home folder: `secrets.json` and `tenants.json`, readable by their owner only."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.local.errors import LocalStackError
from infra.local.state import write_atomically
from libs.access.tenants import hash_key

TENANT = "default"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What programs need to be let in."""

    api_key: str
    github_webhook_secret: str
    argocd_webhook_token: str
    postgres_password: str


def ensure(home: Path) -> Credentials:
    """Return the home's credentials, made at the first call; raises LocalStackError when a file is damaged."""
    path = home / "secrets.json"
    if path.exists():
        credentials = _read(path)
    else:
        made = [secrets.token_urlsafe(32) for _ in range(3)]
        credentials = Credentials(f"is_{made[0]}", made[1], made[2], secrets.token_urlsafe(24))
        write_atomically(path, json.dumps(asdict(credentials), indent=2) + "\n", 0o600)
    if not tenants_file(home).exists():
        content = {"tenants": [{"id": TENANT, "api_keys_sha256": [hash_key(credentials.api_key)]}]}
        write_atomically(tenants_file(home), json.dumps(content, indent=2) + "\n", 0o600)
    return credentials


def tenants_file(home: Path) -> Path:
    """Return where the tenants are."""
    return home / "tenants.json"


def _read(path: Path) -> Credentials:
    try:
        return Credentials(**json.loads(path.read_text()))
    except (ValueError, TypeError) as exc:
        raise LocalStackError(f"{path} is damaged ({exc}): put it back, or wipe with `down --wipe`") from exc
