"""What rpcs ask of their callers, read from the option `incidentscope.access.v1.requires` of their descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from incidentscope.access.v1 import access_options_pb2 as options

from libs.access.identity import Requirement, Role, Scope
from libs.kernel.errors import IncidentScopeError

_ROLES: Final = {
    options.ROLE_VIEWER: Role.VIEWER,
    options.ROLE_RESPONDER: Role.RESPONDER,
    options.ROLE_ADMIN: Role.ADMIN,
    options.ROLE_SERVICE: Role.SERVICE,
}


class RpcUnguarded(IncidentScopeError):
    """An rpc does not say who may call it."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One rpc: its path on the wire, what it asks, and whether the caller streams."""

    path: str
    asked: Requirement
    client_streams: bool = False

    @property
    def is_ingest(self) -> bool:
        """Tell whether it takes telemetry: too much to put each call on record."""
        return self.asked.scope is Scope.TELEMETRY_WRITE


def requirements(services: Sequence[str], given: Mapping[str, Requirement]) -> dict[str, Rpc]:
    """Return the rpcs of services by path; `given` has those of services whose contracts are not ours, by service.

    Raises RpcUnguarded for an rpc that declares nothing, or something that does not exist.
    """
    found = {}
    for name in services:
        service = descriptor_pool.Default().FindServiceByName(name)
        for method in service.methods:
            path = f"/{name}/{method.name}"
            found[path] = Rpc(path, given.get(name) or declared(method), method.client_streaming)
    return found


def declared(method: MethodDescriptor) -> Requirement:
    """Return what an rpc declares; raises RpcUnguarded."""
    written = method.GetOptions().Extensions[options.requires]
    role = _ROLES.get(written.role)
    if role is None or written.scope not in set(Scope):
        raise RpcUnguarded(
            f"the rpc {method.full_name} does not declare who may call it: add the option"
            f" (incidentscope.access.v1.requires) with a role and one of the scopes {', '.join(Scope)}"
        )
    return Requirement(role, Scope(written.scope))
