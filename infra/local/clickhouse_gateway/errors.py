"""ClickHouse's error codes: read from the engine's text, shown to clients over both protocols."""

from __future__ import annotations

import re
from http import HTTPStatus

BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNKNOWN_PACKET = 99
UNEXPECTED_PACKET = 101
INCORRECT_DATA = 117
UNKNOWN_SETTING = 115
READONLY = 164
TOO_MANY_CONNECTIONS = 202
QUERY_IS_TOO_LARGE = 229
CANNOT_DECOMPRESS = 271
LIMIT_EXCEEDED = 290
SUPPORT_IS_DISABLED = 344
OUTFILE_NOT_ALLOWED = 358
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
INVALID_SESSION_TIMEOUT = 374
QUERY_WAS_CANCELLED = 394
CANNOT_SCHEDULE_TASK = 439
AUTHENTICATION_FAILED = 516
STD_EXCEPTION = 1001

_FORBIDDEN = frozenset({192, 193, AUTHENTICATION_FAILED})
_BAD_REQUEST = frozenset({
    6, 25, 26, 27, 33, BAD_ARGUMENTS, 37, 38, 41, 53, SYNTAX_ERROR, 72, INCORRECT_DATA, 167, 168, 223,
    CANNOT_DECOMPRESS, 321, 374, 376, 427, 441, 456, 457, 675, 676,
})  # fmt: skip
_NOT_FOUND = frozenset({46, 47, 50, 56, 60, 63, 73, 78, 81, UNKNOWN_SETTING, 336, SESSION_NOT_FOUND})
_STATUS = {
    194: HTTPStatus.UNAUTHORIZED,
    159: HTTPStatus.REQUEST_TIMEOUT,
    QUERY_IS_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    LIMIT_EXCEEDED: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    NOT_IMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    76: HTTPStatus.SERVICE_UNAVAILABLE,
    209: HTTPStatus.SERVICE_UNAVAILABLE,
    CANNOT_SCHEDULE_TASK: HTTPStatus.SERVICE_UNAVAILABLE,
}

_PREFIX = re.compile(r"(?:Code: (\d+)\. )?DB::Exception: ")
_SUFFIX = re.compile(r"(?:\s*\(version [^()]*\)\.?|\s*\(([A-Z][A-Z0-9_]+)\)\.?)\s*$")


class EngineError(Exception):
    """A refusal with ClickHouse's `code`, its `name` (may be empty) and a `message` without either."""

    def __init__(self, code: int, message: str, name: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.name = name

    def text(self) -> str:
        """Return the error the way ClickHouse prints it."""
        suffix = f" ({self.name})" if self.name else ""
        return f"Code: {self.code}. DB::Exception: {self.message}{suffix}"


def parse_engine_error(text: str) -> EngineError:
    """Read the engine's error text; what carries no code becomes STD_EXCEPTION (1001)."""
    rest, name = text.strip(), ""
    while found := _SUFFIX.search(rest):
        name = name or found.group(1) or ""
        rest = rest[: found.start()]
    code: int | None = None
    while found := _PREFIX.match(rest):
        if code is None and found.group(1):
            code = int(found.group(1))
        rest = rest[found.end() :]
    return EngineError(STD_EXCEPTION if code is None else code, rest, name)


def http_status(code: int) -> HTTPStatus:
    """Return the HTTP status ClickHouse answers an error code with."""
    if code in _FORBIDDEN:
        return HTTPStatus.FORBIDDEN
    if code in _BAD_REQUEST:
        return HTTPStatus.BAD_REQUEST
    if code in _NOT_FOUND:
        return HTTPStatus.NOT_FOUND
    return _STATUS.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
