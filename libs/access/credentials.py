"""What a service sends along when it calls another: a signed token, or on one machine the tenant's name."""

from __future__ import annotations

from dataclasses import dataclass

from libs.access.identity import CALLER, Identity, Role, Scope
from libs.access.tokens import Signer

Metadata = tuple[tuple[str, str], ...]
TENANT_HEADER = "x-tenant-id"


def by_header(tenant: str) -> Metadata:
    """Return the metadata of a call that names its tenant only, which is believed on one machine."""
    return ((TENANT_HEADER, tenant),)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials of one service, which as itself may use `scopes`. Without a signer the tenant header is sent."""

    signer: Signer | None
    service: str
    scopes: frozenset[Scope] = frozenset()

    def of_service(self, tenant: str) -> Metadata:
        """Return the metadata of a call the service makes for itself."""
        return self._metadata(Identity(tenant, Role.SERVICE, self.scopes, name=self.service))

    def of_caller(self, tenant: str) -> Metadata:
        """Return the metadata of a call made for whoever is being answered; raises LookupError outside a call.

        Raises PermissionError when that one belongs to another tenant, which would be a fault of ours.
        """
        caller = CALLER.get()
        if caller.tenant != tenant:
            raise PermissionError("a call for another tenant than the caller's")
        return self._metadata(caller)

    def _metadata(self, caller: Identity) -> Metadata:
        if self.signer is None:
            return by_header(caller.tenant)
        return (("authorization", f"Bearer {self.signer.call(caller)}"),)
