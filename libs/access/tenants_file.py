"""Tenants and keys from a file that holds only hashes: for one machine, tests, and doors that have no Postgres."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from libs.access.directory import Directory, Key, hash_key, key_of
from libs.access.identity import Role
from libs.kernel.errors import IncidentScopeError

REFRESH_SECONDS = 1.0  # how old the knowledge of the file may be
log = structlog.get_logger()


class TenantsFileInvalid(IncidentScopeError):
    """The tenants file cannot be used; the text says why."""


class FileKey(BaseModel):
    """One key: its SHA-256 (hex), the name of who holds it, and what it may do.

    A role or scope that does not exist here grants nothing: a newer release may know it.
    """

    model_config = ConfigDict(extra="forbid")
    id: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    name: str = Field(min_length=1, max_length=100)
    role: str
    scopes: tuple[str, ...] = ()
    requests_per_second: float | None = Field(default=None, ge=0)
    expires_at: datetime | None = None


class Tenant(BaseModel):
    """One tenant. `api_keys_sha256` are keys without a name, which may do everything in the tenant."""

    model_config = ConfigDict(extra="forbid")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    api_keys_sha256: tuple[str, ...] = ()
    keys: tuple[FileKey, ...] = ()

    def read(self) -> Iterator[Key]:
        """Yield the keys."""
        listed = [key_of(d[:10], d, self.id, "api key", Role.ADMIN, rate=0.0) for d in self.api_keys_sha256]
        listed += [
            key_of(k.id, k.sha256, self.id, k.name, k.role, k.scopes, k.requests_per_second, k.expires_at)
            for k in self.keys
        ]
        yield from (key for key in listed if key is not None)


class TenantsFile(BaseModel):
    """The file's content."""

    model_config = ConfigDict(extra="forbid")
    tenants: tuple[Tenant, ...] = Field(min_length=1)

    def directory(self) -> Directory:
        """Return what it says."""
        return Directory.of((t.id for t in self.tenants), (k for t in self.tenants for k in t.read()))


class FileSource:
    """Reads the file again when it changes; a change that cannot be read is logged, and what was known stays."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises TenantsFileInvalid."""
        self._path = path
        self._changed_at = _modified_ns(path)
        self._read_at = time.monotonic()
        self._directory = read_tenants(path).directory()

    def directory(self) -> Directory:
        """Return what the file said within the last second."""
        now = time.monotonic()
        if now - self._read_at >= REFRESH_SECONDS:
            self._read_at = now
            self._refresh()
        return self._directory

    def latest(self) -> Directory:
        """Return the same as `directory`."""
        return self.directory()

    def _refresh(self) -> None:
        try:
            changed_at = _modified_ns(self._path)
            if changed_at != self._changed_at:
                self._directory = read_tenants(self._path).directory()
                self._changed_at = changed_at
        except TenantsFileInvalid as exc:
            log.error("tenants_file_ignored", error=str(exc))


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
    known = {t.id: t for t in read_tenants(path).tenants}
    try:
        before = known.get(tenant) or Tenant(id=tenant)
    except ValueError as exc:
        raise TenantsFileInvalid(f"{tenant!r} cannot be a tenant id: lower-case letters, digits, - and _") from exc
    known[tenant] = before.model_copy(update={"api_keys_sha256": (*before.api_keys_sha256, hash_key(key))})
    _replace(path, TenantsFile(tenants=tuple(known.values())))


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
