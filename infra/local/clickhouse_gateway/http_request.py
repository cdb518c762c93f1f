"""What an HTTP request asks for: ClickHouse's parameters and headers, and the decoding of its body."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.local.clickhouse_gateway.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    INVALID_SESSION_TIMEOUT,
    EngineError,
)
from infra.local.clickhouse_gateway.http_encodings import choose_encoding

SESSION_SECONDS = 60
MAX_SESSION_SECONDS = 3600
_RESERVED = frozenset({
    "query", "database", "default_format", "user", "password", "quota_key", "query_id", "session_id",
    "session_timeout", "session_check", "compress", "decompress", "enable_http_compression",
    "http_zlib_compression_level", "wait_end_of_query", "buffer_size", "stacktrace", "role", "client_protocol_version",
})  # fmt: skip
_REVISION_DIGITS = 9


@dataclass(frozen=True)
class HttpQuery:
    """A request without its body.

    `session_seconds` is how long a named session outlives its last request; `revision` that of the native protocol
    in which `FORMAT Native` is wanted, 0 for the plain format; `encoding_out` the answer's Content-Encoding, or empty.
    """

    query: str
    user: str
    password: str = field(repr=False)
    database: str
    query_id: str
    output: str
    settings: Mapping[str, str]
    parameters: Mapping[str, str]
    session_id: str
    session_seconds: int
    session_must_exist: bool
    frames_in: bool
    frames_out: bool
    encoding_out: str
    read_only: bool
    revision: int


def read_request(method: str, url: Mapping[str, str], headers: Mapping[str, str]) -> HttpQuery:
    """Read a request's URL parameters and headers (names in lower case). Raises EngineError on what is malformed."""
    user, password = _credentials(url, headers)
    packed = url.get("enable_http_compression") == "1"
    return HttpQuery(
        query=url.get("query", ""),
        user=user,
        password=password,
        database=url.get("database") or headers.get("x-clickhouse-database", ""),
        query_id=url.get("query_id") or headers.get("x-clickhouse-query-id") or str(uuid.uuid4()),
        output=url.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        settings={n: v for n, v in url.items() if n not in _RESERVED and not n.startswith("param_")},
        parameters={n.removeprefix("param_"): v for n, v in url.items() if n.startswith("param_")},
        session_id=url.get("session_id", ""),
        session_seconds=_session_seconds(url.get("session_timeout", "")),
        session_must_exist=url.get("session_check") == "1",
        frames_in=url.get("decompress") == "1",
        frames_out=url.get("compress") == "1",
        encoding_out=choose_encoding(headers.get("accept-encoding", "")) if packed else "",
        read_only=method in {"GET", "HEAD"},
        revision=_revision(url.get("client_protocol_version", "")),
    )


def _credentials(url: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as exc:
            reason = "The Authorization header is not Basic"
            raise EngineError(AUTHENTICATION_FAILED, reason, "AUTHENTICATION_FAILED") from exc
        return user, password
    return url.get("user", "default"), url.get("password", "")


def _session_seconds(text: str) -> int:
    if not text:
        return SESSION_SECONDS
    if not text.isdecimal() or not 0 < int(text) <= MAX_SESSION_SECONDS:
        reason = f"Invalid session timeout '{text[:40]}'; it is between 1 and {MAX_SESSION_SECONDS} seconds"
        raise EngineError(INVALID_SESSION_TIMEOUT, reason, "INVALID_SESSION_TIMEOUT")
    return int(text)


def _revision(text: str) -> int:
    if text and (not text.isdecimal() or len(text) > _REVISION_DIGITS):
        raise EngineError(BAD_ARGUMENTS, f"client_protocol_version '{text[:40]}' is not a number", "BAD_ARGUMENTS")
    return int(text or 0)
