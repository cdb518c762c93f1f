"""Who is calling, and what that caller may do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a key is for. People's roles form a ladder; `service` stands beside it and acts by its scopes alone."""

    VIEWER = "viewer"
    RESPONDER = "responder"
    ADMIN = "admin"
    SERVICE = "service"


class Scope(StrEnum):
    """What can be asked of the suite. A key without scopes may do all its role allows; a service key names its own."""

    INCIDENTS_READ = "incidents:read"
    INCIDENTS_WRITE = "incidents:write"
    DEPLOYS_READ = "deploys:read"
    DEPLOYS_WRITE = "deploys:write"
    ALERTS_READ = "alerts:read"
    ALERTS_WRITE = "alerts:write"
    TELEMETRY_READ = "telemetry:read"
    TELEMETRY_WRITE = "telemetry:write"
    ACCESS_READ = "access:read"
    ACCESS_WRITE = "access:write"

    @property
    def writes(self) -> bool:
        """Tell whether it changes something."""
        return self.endswith(":write")


def known_role(name: str) -> Role | None:
    """Return a role by name; None for one that only a newer release knows."""
    return Role(name) if name in set(Role) else None


def known_scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that exist of those named. Mind that a caller without scopes may do all its role allows."""
    return frozenset(Scope(name) for name in names if name in set(Scope))


PEOPLE = (Role.VIEWER, Role.RESPONDER, Role.ADMIN)  # each may do what the one before may


class Decision(StrEnum):
    """Why a call is let through, or not."""

    ALLOWED = "allowed"
    ROLE_TOO_LOW = "role_too_low"
    SCOPE_MISSING = "scope_missing"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What an rpc or a route asks of its caller. `role=service` means machines with the scope, and admins."""

    role: Role
    scope: Scope


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller. `key_id` and `name` are empty for callers that are not told apart: anonymous or by a trusted header.

    `requests_per_second` bounds the calls of its key at each process; 0 is unbounded.
    """

    tenant: str
    role: Role
    scopes: frozenset[Scope] = frozenset()
    key_id: str = ""
    name: str = ""
    requests_per_second: float = 0.0

    @property
    def actor(self) -> str:
        """Return how timelines and the audit log name it; empty when it is not told apart."""
        return f"{self.name} ({self.role} key {self.key_id})" if self.key_id else self.name


def decide(caller: Identity, asked: Requirement) -> Decision:
    """Decide whether a caller may do what asks this."""
    if caller.role is Role.SERVICE:
        if asked.role is Role.ADMIN:
            return Decision.ROLE_TOO_LOW
        return Decision.ALLOWED if asked.scope in caller.scopes else Decision.SCOPE_MISSING
    least = Role.ADMIN if asked.role is Role.SERVICE else asked.role
    if PEOPLE.index(caller.role) < PEOPLE.index(least):
        return Decision.ROLE_TOO_LOW
    return Decision.ALLOWED if not caller.scopes or asked.scope in caller.scopes else Decision.SCOPE_MISSING


CALLER: ContextVar[Identity] = ContextVar("caller")


@contextmanager
def answering(caller: Identity | None) -> Iterator[None]:
    """Make a caller, when it is known, the one being answered, unless somebody is already."""
    token = CALLER.set(caller) if caller is not None and CALLER.get(None) is None else None
    try:
        yield
    finally:
        if token is not None:
            CALLER.reset(token)


def current_identity() -> Identity:
    """Return the caller being answered; raises LookupError outside a call."""
    return CALLER.get()
