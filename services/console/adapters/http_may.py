"""What the caller being answered may do, asked of the routes themselves: pages offer nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from starlette.routing import BaseRoute, Match

from libs.access.http import guarded
from libs.access.identity import CALLER, Decision, Requirement, decide

KNOWN_ADDRESSES = 4096  # looked up once each
WAYS = (("/", "Incidents"), ("/services", "Services"), ("/deploys", "Deploys"))  # where pages lead to


class May:
    """Decides for addresses as the gate will. `routes` may be filled later: they are read when the first page is made.

    What no route asks anything for is allowed, and everything before the caller is known: signing in comes first.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._asked = lru_cache(KNOWN_ADDRESSES)(self._find)

    def __call__(self, address: str, method: str = "GET") -> bool:
        """Tell whether the caller may send a request to an address of this console."""
        return not self.refusal(address, method)

    def refusal(self, address: str, method: str = "GET") -> str:
        """Say what a request takes that the caller does not have: `takes the role …`; empty when nothing is missing."""
        caller, asked = CALLER.get(None), self._asked(method, unquote(urlsplit(address).path))
        if caller is None or asked is None:
            return ""
        match decide(caller, asked):
            case Decision.ROLE_TOO_LOW:
                return f"takes the role {asked.role}; yours is {caller.role}"
            case Decision.SCOPE_MISSING:
                return f"takes the scope {asked.scope}, which your key does not have"
        return ""

    def ways(self) -> list[tuple[str, str]]:
        """Return the main pages that the caller may see: their addresses and names."""
        return [(address, name) for address, name in WAYS if self(address)]

    def _find(self, method: str, path: str) -> Requirement | None:
        scope = {"type": "http", "method": method, "path": path}
        return next((asked for route, asked in guarded(self._routes) if route.matches(scope)[0] is Match.FULL), None)
