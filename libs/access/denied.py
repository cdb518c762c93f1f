"""Why a caller is not let in, with the statuses that say so."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from libs.kernel.errors import IncidentScopeError


class Statuses(NamedTuple):
    """How a reason is told: an HTTP status and the name of a gRPC status."""

    http: HTTPStatus
    grpc: str


_UNAUTHENTICATED: Final = Statuses(HTTPStatus.UNAUTHORIZED, "UNAUTHENTICATED")
_FORBIDDEN: Final = Statuses(HTTPStatus.FORBIDDEN, "PERMISSION_DENIED")
STATUSES: Final = {
    "missing_credentials": _UNAUTHENTICATED,
    "unknown_api_key": _UNAUTHENTICATED,
    "expired_api_key": _UNAUTHENTICATED,
    "revoked_api_key": _UNAUTHENTICATED,
    "unknown_tenant": _UNAUTHENTICATED,
    "role_too_low": _FORBIDDEN,
    "scope_missing": _FORBIDDEN,
    "rate_limited": Statuses(HTTPStatus.TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
    "access_unknown": Statuses(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
}


class AccessDenied(IncidentScopeError):
    """The caller may not do this. `reason` is one of STATUSES; `retry_after` is in seconds, 0 when it is no use."""

    def __init__(self, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after

    @property
    def statuses(self) -> Statuses:
        """Return how it is told."""
        return STATUSES[self.reason]

    @property
    def headers(self) -> dict[str, str]:
        """Return the HTTP headers that go with it."""
        if self.statuses.http is HTTPStatus.UNAUTHORIZED:
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(max(1, round(self.retry_after)))} if self.retry_after else {}
