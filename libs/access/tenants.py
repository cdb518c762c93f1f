"""The door's book: who a call comes from, by its headers, and whether it may do what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import Counter

from libs.access.credentials import TENANT_HEADER
from libs.access.denied import AccessDenied
from libs.access.directory import Directory, Key, Source, hash_key, utc_now
from libs.access.identity import Decision, Identity, Requirement, Role, decide
from libs.access.rates import RateLimits
from libs.access.tenants_file import FileSource, TenantsFileInvalid, add_key, start_file
from libs.access.tokens import CALL_PREFIX, Signer
from libs.kernel.authorization import authorization_key

__all__ = [
    "TENANT_HEADER", "AccessDenied", "TenantRegistry", "TenantsFileInvalid", "add_key", "hash_key", "start_file",
]  # fmt: skip
NO_KEY = "send an API key: `Authorization: Bearer <key>`, `x-api-key`, or as the password of HTTP Basic"
DECISIONS = Counter("incidentscope_access_decisions", "Calls let in, or why not", ["decision"])
_ADVICE = {
    Decision.ROLE_TOO_LOW: "this asks for the role {asked.role}, the key has {caller.role}",
    Decision.SCOPE_MISSING: "this asks for the scope {asked.scope}, which the key does not have",
}


class TenantRegistry:
    """Finds the caller of a call from its headers, and decides what it may do.

    An API key decides first, in whichever scheme it is shown; a token signed by another of our services stands for
    whoever called that one. Who shows something that is no key is refused: never taken for the anonymous tenant's.
    `x-tenant-id` is believed only where `trust_header` is set, as on one machine. Callers without any of these get
    the `anonymous` tenant, where one is configured, and both then have `anonymous_role`.
    """

    def __init__(
        self, source: Path | Source, anonymous: str = "", trust_header: bool = False,
        anonymous_role: Role = Role.ADMIN, signer: Signer | None = None,
    ) -> None:  # fmt: skip
        """Take a source, or the path of a tenants file; raises TenantsFileInvalid."""
        self._source = FileSource(source) if isinstance(source, Path) else source
        if isinstance(source, Path) and anonymous and anonymous not in self._source.directory().tenants:
            raise TenantsFileInvalid(f"the anonymous tenant {anonymous!r} is not in the tenants file")
        self._anonymous = anonymous
        self._trust_header = trust_header
        self._anonymous_role = anonymous_role
        self._signer = signer
        self._rates = RateLimits()

    @property
    def ids(self) -> frozenset[str]:
        """Return the ids of all tenants, as last known."""
        return self._source.latest().tenants

    def known(self, tenant: str) -> bool:
        """Tell whether a tenant exists, as last known."""
        return tenant in self.ids

    def choices(self, caller: Identity) -> tuple[str, ...]:
        """Return the tenants a caller may choose among: its own, or all where it is believed without a key."""
        return tuple(sorted(self.ids)) if self._trust_header and not caller.key_id else (caller.tenant,)

    def admit(self, headers: Mapping[str, str], asked: Requirement) -> Identity:
        """Return the caller, header names in lower case, if it may do what asks this; raises AccessDenied."""
        caller = self.identify(headers)
        self.authorize(caller, asked)
        return caller

    def authorize(self, caller: Identity, asked: Requirement) -> None:
        """Take one call of a caller; raises AccessDenied when it may not do what asks this, or calls too often."""
        decision = decide(caller, asked)
        DECISIONS.labels(decision).inc()
        if decision is not Decision.ALLOWED:
            raise AccessDenied(decision, _ADVICE[decision].format(asked=asked, caller=caller))
        if caller.requests_per_second > 0:
            wait = self._rates.take(caller.key_id, caller.requests_per_second)
            if wait:
                advice = f"the key may call {caller.requests_per_second:g} times a second; wait {wait:.2f} s"
                raise AccessDenied("rate_limited", advice, wait)

    def resolve(self, headers: Mapping[str, str]) -> str:
        """Return the tenant of a call, header names in lower case; raises AccessDenied."""
        return self.identify(headers).tenant

    def identify(self, headers: Mapping[str, str]) -> Identity:
        """Return the caller of a call, header names in lower case; raises AccessDenied."""
        try:
            return self._identify(headers)
        except AccessDenied as denied:
            DECISIONS.labels(denied.reason).inc()
            raise

    def who(self, headers: Mapping[str, str]) -> Identity | None:
        """Return the caller of a call that was decided on already, header names in lower case; None when not known."""
        try:
            return self._identify(headers)
        except AccessDenied:
            return None

    def _identify(self, headers: Mapping[str, str]) -> Identity:
        directory = self._source.directory()
        key = _api_key(headers)
        if key.startswith(CALL_PREFIX):
            return self._of_token(directory, key)
        if key:
            # A look-up by digest leaks no timing about the key itself.
            return _good(directory.by_digest.get(hash_key(key))).caller
        return self._unnamed(directory, headers.get(TENANT_HEADER, ""))

    def of_key(self, key_id: str) -> Identity:
        """Return the caller that holds the key of an id; raises AccessDenied."""
        return _good(self._source.directory().by_id.get(key_id)).caller

    def holds(self, caller: Identity) -> bool:
        """Tell whether a caller that was let in may still go on: its key is neither revoked nor expired."""
        try:
            return self._source.directory().holds(caller, utc_now())
        except AccessDenied:
            return False

    def _of_token(self, directory: Directory, token: str) -> Identity:
        caller = self._signer.caller(token) if self._signer else None
        if caller is None:
            raise AccessDenied("unknown_api_key", "the token is not of a service of this installation, or is old")
        if not directory.holds(caller, utc_now()):
            raise AccessDenied("revoked_api_key", "the caller's key is no longer good")
        return caller

    def _unnamed(self, directory: Directory, named: str) -> Identity:
        tenant = named if self._trust_header and named else "" if named else self._anonymous
        if not tenant:
            raise AccessDenied("missing_credentials", NO_KEY)
        if tenant not in directory.tenants:
            raise AccessDenied("unknown_tenant", f"no tenant is called {tenant[:64]!r}")
        return Identity(tenant, self._anonymous_role)


def _good(key: Key | None) -> Key:
    if key is None:
        raise AccessDenied("unknown_api_key", "the API key is not known")
    if key.expired(utc_now()):
        raise AccessDenied("expired_api_key", "the API key has expired")
    return key


def _api_key(headers: Mapping[str, str]) -> str:
    """Return the key of a call, empty when it shows none; raises AccessDenied for what is shown and is no key."""
    own = headers.get("x-api-key", "").strip()  # a proxy before us may have put its own into the other
    shown = own or authorization_key(headers.get("authorization", ""))
    if shown is None:
        raise AccessDenied("missing_credentials", f"the Authorization header shows no key that can be read: {NO_KEY}")
    return shown
