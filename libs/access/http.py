"""Access to HTTP routes: each says what it asks of its caller, and an app with one that does not is not served.

@needs(Role.VIEWER, Scope.INCIDENTS_READ)
async def list(request): ...

guard(app.router.routes, Gate(tenants.admit))   # last, once all routes are there
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from libs.access.denied import AccessDenied
from libs.access.identity import CALLER, Identity, Requirement, Role
from libs.access.identity import Scope as AccessScope
from libs.kernel.errors import IncidentScopeError

F = TypeVar("F", bound=Callable[..., Any])
HEALTH_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_MARK: Final = "__access__"


class Exempt(StrEnum):
    """Why a route asks for no key."""

    PUBLIC = "public"  # nothing of a tenant is there
    SIGNED = "signed"  # the sender proves itself by a signature over the body, with the tenant's own secret


class RouteUnguarded(IncidentScopeError):
    """A route does not say who may call it."""


Declared = Requirement | Exempt


def needs(role: Role, scope: AccessScope) -> Callable[[F], F]:
    """Declare what a route's endpoint asks of its caller."""
    return _marking(Requirement(role, scope))


def exempt(why: Exempt) -> Callable[[F], F]:
    """Declare that a route's endpoint asks for no key, and why."""
    return _marking(why)


def _marking(declared: Declared) -> Callable[[F], F]:
    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, declared)
        return endpoint

    return mark


def declared(route: BaseRoute, public: frozenset[str] = frozenset()) -> Declared | None:
    """Return what a route declares; paths of health checks, and those in `public`, are public."""
    path = getattr(route, "path", "")
    if path in HEALTH_PATHS or path in public:
        return Exempt.PUBLIC
    endpoint = route.app if isinstance(route, Mount) else getattr(route, "endpoint", None)
    found: Declared | None = getattr(endpoint, _MARK, None)
    return found


@dataclass(frozen=True, slots=True)
class Gate:
    """How an app lets callers in.

    `admit` finds the caller of a request and checks what it may do; `refuse` makes the answer to who may not, where
    the app has no handler for AccessDenied. `public` are further paths without a key, such as an OpenAPI document.
    """

    admit: Callable[[Request, Requirement], Identity]
    refuse: Callable[[Request, AccessDenied], Response] | None = None
    public: frozenset[str] = frozenset()


def guard(routes: Sequence[BaseRoute], gate: Gate) -> None:
    """Put the gate before every route; raises RouteUnguarded for one that declares nothing."""
    for route in routes:
        asked = declared(route, gate.public)
        if asked is None:
            raise RouteUnguarded(f"the route {getattr(route, 'path', route)} does not declare who may call it")
        if isinstance(asked, Requirement) and isinstance(route, Route):
            route.app = _Guarded(route.app, asked, gate)


def guarded(routes: Sequence[BaseRoute]) -> Iterator[tuple[Route, Requirement]]:
    """Yield the routes that stand behind a gate, with what they ask."""
    for route in routes:
        if isinstance(route, Route) and isinstance(route.app, _Guarded):
            yield route, route.app.asked


@dataclass(frozen=True, slots=True)
class _Guarded:
    app: ASGIApp
    asked: Requirement
    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            caller = self.gate.admit(request, self.asked)
        except AccessDenied as denied:
            if self.gate.refuse is None:
                raise
            await self.gate.refuse(request, denied)(scope, receive, send)
            return
        token = CALLER.set(caller)
        try:
            await self.app(scope, receive, send)
        finally:
            CALLER.reset(token)
