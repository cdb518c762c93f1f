"""Tenants and their API keys, from a file that holds only hashes of the keys."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field

from libs.kernel.errors import IncidentScopeError

TENANT_HEADER = "x-tenant-id"
BEARER = "bearer "
REFRESH_SECONDS = 1.0  # how old the knowledge of the file may be
log = structlog.get_logger()


class AccessDenied(IncidentScopeError):
    """The caller may not come in. `reason` is `missing_credentials`, `unknown_api_key` or `unknown_tenant`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TenantsFileInvalid(IncidentScopeError):
    """The tenants file cannot be used; the text says why."""


class Tenant(BaseModel):
    """One tenant: its id and the SHA-256 (hex) of each API key that belongs to it."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    api_keys_sha256: tuple[str, ...] = ()


class TenantsFile(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid")
    tenants: tuple[Tenant, ...] = Field(min_length=1)


class TenantSettings(Protocol):
    """The settings that decide who is let in."""

    tenants_file: Path
    anonymous_tenant: str
    trust_tenant_header: bool


class TenantRegistry:
    """Finds the tenant of a call from its headers.

    An API key decides first. `x-tenant-id` is believed only where `trust_header` is set, as between services on
    one machine. Callers without either get the `anonymous` tenant, where one is configured. The file is read again
    when it changes; a change that cannot be read is logged, and what was known stays in force.
    """

    def __init__(self, path: Path, anonymous: str = "", trust_header: bool = False) -> None:
        """Read the file; raises TenantsFileInvalid."""
        self._path = path
        self._anonymous = anonymous
        self._trust_header = trust_header
        self._changed_at = _modified_ns(path)
        self._read_at = time.monotonic()
        self._adopt(read_tenants(path))

    @classmethod
    def load(cls, settings: TenantSettings) -> TenantRegistry:
        """Read the file that a service's settings name; raises TenantsFileInvalid."""
        return cls(settings.tenants_file, settings.anonymous_tenant, settings.trust_tenant_header)

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all tenants."""
        self._refresh()
        return self._ids

    def known(self, tenant: str) -> bool:
        """Tell whether a tenant exists."""
        return tenant in self.ids

    def resolve(self, headers: Mapping[str, str]) -> str:
        """Return the tenant of a call, header names in lower case; raises AccessDenied."""
        self._refresh()
        key = _api_key(headers)
        if key:
            return self._tenant_of_key(key)
        named = headers.get(TENANT_HEADER, "")
        if named and self._trust_header:
            return self._existing(named)
        if self._anonymous and not named:
            return self._anonymous
        raise AccessDenied("missing_credentials", "send an API key: `Authorization: Bearer <key>` or `x-api-key`")

    def _existing(self, tenant: str) -> str:
        if tenant not in self._ids:
            raise AccessDenied("unknown_tenant", f"no tenant is called {tenant[:64]!r}")
        return tenant

    def _tenant_of_key(self, key: str) -> str:
        # A look-up by digest leaks no timing about the key itself.
        tenant = self._by_key.get(hash_key(key))
        if tenant is None:
            raise AccessDenied("unknown_api_key", "the API key is not known")
        return tenant

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._read_at < REFRESH_SECONDS:
            return
        self._read_at = now
        try:
            changed_at = _modified_ns(self._path)
            if changed_at == self._changed_at:
                return
            self._adopt(read_tenants(self._path))
            self._changed_at = changed_at
        except TenantsFileInvalid as exc:
            log.error("tenants_file_ignored", error=str(exc))

    def _adopt(self, content: TenantsFile) -> None:
        ids = frozenset(t.id for t in content.tenants)
        if self._anonymous and self._anonymous not in ids:
            raise TenantsFileInvalid(f"the anonymous tenant {self._anonymous!r} is not in the tenants file")
        self._ids = ids
        self._by_key = {digest: t.id for t in content.tenants for digest in t.api_keys_sha256}


def hash_key(key: str) -> str:
    """Return how a key is stored: SHA-256 in hex. Keys are 256 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_tenants(path: Path) -> TenantsFile:
    """Return the content of a tenants file; raises TenantsFileInvalid."""
    try:
        return TenantsFile.model_validate(json.loads(path.read_text()))
    except (OSError, ValueError) as exc:
        raise TenantsFileInvalid(f"cannot use the tenants file {path.name}: {exc}") from exc


def start_file(path: Path, tenant: str) -> None:
    """Write a file with one tenant that has no key yet; raises TenantsFileInvalid."""
    try:
        _replace(path, TenantsFile(tenants=(Tenant(id=tenant),)))
    except (OSError, ValueError) as exc:
        raise TenantsFileInvalid(f"cannot write the tenants file {path.name}: {exc}") from exc


def add_key(path: Path, tenant: str, key: str) -> None:
    """Give a tenant one more key, creating the tenant when it is new; raises TenantsFileInvalid.

    The file is replaced in one step, so that readers see the old or the new one.
    """
    content = read_tenants(path)
    keys = {t.id: t.api_keys_sha256 for t in content.tenants}
    keys[tenant] = (*keys.get(tenant, ()), hash_key(key))
    try:
        tenants = TenantsFile(tenants=tuple(Tenant(id=i, api_keys_sha256=k) for i, k in keys.items()))
    except ValueError as exc:
        raise TenantsFileInvalid(f"{tenant!r} cannot be a tenant id: lower-case letters, digits, - and _") from exc
    _replace(path, tenants)


def _replace(path: Path, content: TenantsFile) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.touch(mode=0o644)  # hashes of random keys are not secret, and services run as other users
    fresh.write_text(content.model_dump_json(indent=2))
    fresh.replace(path)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as exc:
        raise TenantsFileInvalid(f"cannot use the tenants file {path.name}: {exc.strerror}") from exc


def _api_key(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return authorization[len(BEARER) :].strip()
    return headers.get("x-api-key", "").strip()
