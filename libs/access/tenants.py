"""Tenants and their API keys, from a file that holds only hashes of the keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from libs.kernel.errors import IncidentScopeError

TENANT_HEADER = "x-tenant-id"
BEARER = "bearer "


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


class TenantRegistry:
    """Finds the tenant of a call from its headers.

    An API key decides first. `x-tenant-id` is believed only where `trust_header` is set, as between services on
    one machine. Callers without either get the `anonymous` tenant, where one is configured.
    """

    def __init__(self, tenants: TenantsFile, anonymous: str = "", trust_header: bool = False) -> None:
        self._ids = frozenset(t.id for t in tenants.tenants)
        self._by_key = {digest: t.id for t in tenants.tenants for digest in t.api_keys_sha256}
        self._anonymous = anonymous
        self._trust_header = trust_header
        if anonymous and anonymous not in self._ids:
            raise TenantsFileInvalid(f"the anonymous tenant {anonymous!r} is not in the tenants file")

    @classmethod
    def load(cls, path: Path, anonymous: str = "", trust_header: bool = False) -> TenantRegistry:
        """Read the tenants file; raises TenantsFileInvalid."""
        try:
            content = TenantsFile.model_validate(json.loads(path.read_text()))
        except (OSError, ValueError, ValidationError) as exc:
            raise TenantsFileInvalid(f"cannot use the tenants file {path.name}: {exc}") from exc
        return cls(content, anonymous, trust_header)

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all tenants."""
        return self._ids

    def known(self, tenant: str) -> bool:
        """Tell whether a tenant exists."""
        return tenant in self._ids

    def resolve(self, headers: Mapping[str, str]) -> str:
        """Return the tenant of a call, header names in lower case; raises AccessDenied."""
        key = _api_key(headers)
        if key:
            return self._tenant_of_key(key)
        named = headers.get(TENANT_HEADER, "")
        if named and self._trust_header:
            if named not in self._ids:
                raise AccessDenied("unknown_tenant", f"no tenant is called {named[:64]!r}")
            return named
        if self._anonymous and not named:
            return self._anonymous
        raise AccessDenied("missing_credentials", "send an API key: `Authorization: Bearer <key>` or `x-api-key`")

    def _tenant_of_key(self, key: str) -> str:
        digest = hashlib.sha256(key.encode()).hexdigest()
        # A look-up by digest leaks no timing about the key itself.
        tenant = self._by_key.get(digest)
        if tenant is None:
            raise AccessDenied("unknown_api_key", "the API key is not known")
        return tenant


def _api_key(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return authorization[len(BEARER) :].strip()
    return headers.get("x-api-key", "").strip()
