"""What is known of tenants and their keys at one moment, and where it comes from."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, Protocol

import structlog
from prometheus_client import Counter

from libs.access.identity import Identity, Role, known_role, known_scopes
from libs.kernel.errors import IncidentScopeError

# Requests per second at each process for keys that do not say otherwise.
DEFAULT_RATES: Final = {Role.VIEWER: 50.0, Role.RESPONDER: 50.0, Role.ADMIN: 100.0, Role.SERVICE: 2000.0}
KEY_PREFIX: Final = "is_"
MOST_NAMED: Final = 10  # tenants that a message names
UNKNOWN = Counter(
    "incidentscope_access_unknown_grants_total", "Keys with a role or scopes that this release does not know", ["kind"]
)
log = structlog.get_logger()
_told: set[tuple[str, str]] = set()  # the directory is read every few seconds


@dataclass(frozen=True, slots=True)
class Key:
    """One API key, of which only the SHA-256 (hex) is known."""

    id: str
    digest: str
    caller: Identity
    expires_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Tell whether it has ended."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Directory:
    """Tenants, and the keys that are not revoked."""

    tenants: frozenset[str] = frozenset()
    by_digest: dict[str, Key] = field(default_factory=dict)
    by_id: dict[str, Key] = field(default_factory=dict)

    @classmethod
    def of(cls, tenants: Iterable[str], keys: Iterable[Key]) -> Directory:
        """Return a directory of these."""
        listed = tuple(keys)
        return cls(frozenset(tenants), {k.digest: k for k in listed}, {k.id: k for k in listed if k.id})

    def holds(self, caller: Identity, now: datetime) -> bool:
        """Tell whether a caller's tenant and key, if it has one, are still good."""
        if caller.tenant not in self.tenants:
            return False
        key = self.by_id.get(caller.key_id)
        return not caller.key_id or (key is not None and key.caller.tenant == caller.tenant and not key.expired(now))


class UnknownTenant(IncidentScopeError):
    """An operator named a tenant that does not exist; the text names those that do. Not for callers from outside."""


def demand_tenant(tenant: str, known: Collection[str], where: str = "") -> None:
    """Do nothing where a tenant exists; raises UnknownTenant, whose text begins with `where` it was named."""
    if tenant in known:
        return
    near = get_close_matches(tenant, known, MOST_NAMED) or sorted(known)[:MOST_NAMED]
    more = f" and {len(known) - len(near)} more" if len(known) > len(near) else ""
    some = f"known: {', '.join(near)}{more}" if known else "there is none yet"
    begin = f"{where}: " if where else ""
    raise UnknownTenant(f"{begin}there is no tenant {tenant[:64]!r}; {some}; python -m scripts.create_tenant makes one")


class Source(Protocol):
    """Where the directory comes from."""

    def directory(self) -> Directory:
        """Return what is known now; raises AccessDenied with `access_unknown` when that is too old to act on."""
        ...

    def latest(self) -> Directory:
        """Return what was known last, however old."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Source that does not change."""

    known: Directory

    def directory(self) -> Directory:
        """Return it."""
        return self.known

    def latest(self) -> Directory:
        """Return it."""
        return self.known


def key_of(
    key_id: str, digest: str, tenant: str, name: str, role: str, scopes: Iterable[str] = (),
    rate: float | None = None, expires_at: datetime | None = None,
) -> Key | None:  # fmt: skip
    """Return a key; None when this release knows neither its role nor any of its scopes, so that it grants nothing.

    A newer release, which runs beside this one while an upgrade rolls, may have made it. Of its scopes those that are
    known count. What is not known is told once.
    """
    named = tuple(scopes)
    granted = known_scopes(named)
    for kind, strange in (("role", {role} - {str(known_role(role))}), ("scope", {*named} - {*granted})):
        if strange and (key_id, kind) not in _told:
            _told.add((key_id, kind))
            UNKNOWN.labels(kind).inc()
            log.warning("grant_unknown", tenant=tenant, key=key_id, kind=kind, ignored=sorted(strange))
    known = known_role(role)
    if known is None or (named and not granted):
        return None
    per_second = DEFAULT_RATES[known] if rate is None else rate
    return Key(key_id, digest, Identity(tenant, known, granted, key_id, name, per_second), expires_at)


def new_key() -> str:
    """Return a random API key of 256 bits."""
    return f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"


def new_key_id() -> str:
    """Return a random id, by which a key is named without showing it."""
    return secrets.token_hex(5)


def hash_key(key: str) -> str:
    """Return how a key is stored: SHA-256 in hex. Keys are 256 random bits, so no salt or stretching is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)
