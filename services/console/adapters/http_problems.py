"""Our errors as HTTP: one mapping for pages and REST; REST answers are RFC 9457 problem details."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from libs.access.denied import AccessDenied
from libs.kernel.errors import InvalidInput, Unavailable
from libs.runtime.bodies import CLOSE, BodyRefused
from services.console.ports import RefusalReason, Refused

PROBLEM_TYPE = "application/problem+json"
RETRY_SECONDS = 5
_STATUS = {
    RefusalReason.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    RefusalReason.NOT_FOUND: HTTPStatus.NOT_FOUND,
    RefusalReason.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    RefusalReason.ABORTED: HTTPStatus.CONFLICT,
    RefusalReason.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    RefusalReason.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    RefusalReason.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    RefusalReason.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    RefusalReason.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    RefusalReason.INTERNAL: HTTPStatus.BAD_GATEWAY,
}
_ACCESS = {"unknown_tenant": HTTPStatus.FORBIDDEN}  # others as everywhere


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, for the caller. `code` is stable: a gRPC status name, or a reason of ours in capitals."""

    status: HTTPStatus
    code: str
    detail: str

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        if self.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            return {"retry-after": str(RETRY_SECONDS)}
        if self.status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            return dict(CLOSE)
        return {"www-authenticate": "Bearer"} if self.status is HTTPStatus.UNAUTHORIZED else {}

    def response(self) -> JSONResponse:
        """Return it as a REST answer."""
        body = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            "code": self.code,
        }
        return JSONResponse(body, self.status.value, self.headers, media_type=PROBLEM_TYPE)


def problem_of(error: Exception) -> Problem:
    """Return the problem an error is; errors that are not ours say nothing about themselves."""
    if isinstance(error, AccessDenied):
        return Problem(_ACCESS.get(error.reason, error.statuses.http), error.reason.upper(), str(error))
    if isinstance(error, Refused):
        return Problem(_STATUS[error.reason], error.reason.value, str(error))
    return _own(error)


def _own(error: Exception) -> Problem:
    match error:
        case BodyRefused():
            found = Problem(HTTPStatus(error.status), error.reason.upper(), f"{str(error).capitalize()}.")
        case InvalidInput():
            found = Problem(HTTPStatus.BAD_REQUEST, error.reason.upper(), str(error))
        case Unavailable():
            found = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", str(error))
        case HTTPException():
            status = HTTPStatus(error.status_code)
            found = Problem(status, status.name, error.detail)
        case _:
            detail = "Something in the console itself failed; its log says what."
            found = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", detail)
    return found
