"""What an HTTP request asks for: ClickHouse's parameters and headers, and the decoding of its body."""

from __future__ import annotations

import base64
import binascii
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.local.clickhouse_gateway.compression import optional_module
from infra.local.clickhouse_gateway.errors import (
    AUTHENTICATION_FAILED,
    BAD_ARGUMENTS,
    CANNOT_DECOMPRESS,
    INVALID_SESSION_TIMEOUT,
    NOT_IMPLEMENTED,
    EngineError,
)

SESSION_SECONDS = 60
MAX_SESSION_SECONDS = 3600
_RESERVED = frozenset({
    "query", "database", "default_format", "user", "password", "quota_key", "query_id", "session_id",
    "session_timeout", "session_check", "compress", "decompress", "enable_http_compression",
    "http_zlib_compression_level", "wait_end_of_query", "buffer_size", "stacktrace", "role", "client_protocol_version",
})  # fmt: skip
_REVISION_DIGITS = 9
_STEP_BYTES = 1 << 18
_ZSTD_PIECE = 256  # bytes in; a run of 128 KiB takes four of them, so at most 8 MiB come out of a piece


@dataclass(frozen=True)
class HttpQuery:
    """A request without its body.

    `session_seconds` is how long a named session outlives its last request; `revision` that of the native protocol
    in which `FORMAT Native` is wanted, 0 for the plain format.
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
    gzip_out: bool
    read_only: bool
    revision: int


def read_request(method: str, url: Mapping[str, str], headers: Mapping[str, str]) -> HttpQuery:
    """Read a request's URL parameters and headers (names in lower case). Raises EngineError on what is malformed."""
    user, password = _credentials(url, headers)
    accepts_gzip = "gzip" in headers.get("accept-encoding", "")
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
        gzip_out=accepts_gzip and url.get("enable_http_compression") == "1",
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


class BodyDecoder:
    """Undoes a Content-Encoding piece by piece, passing at most a quarter of a mebibyte at a time to `sink`."""

    def __init__(self, encoding: str, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._encoding = encoding.strip().lower()
        self._feed = self._feeder()
        self._complete = True

    def feed(self, data: bytes) -> None:
        """Decode some bytes. Raises EngineError 271 when they are damaged."""
        if data:
            self._feed(data)

    def finish(self) -> None:
        """Raise EngineError 271 when the body ended too early."""
        if not self._complete:
            raise EngineError(CANNOT_DECOMPRESS, f"The {self._encoding} body is cut off", "CANNOT_DECOMPRESS")

    def _feeder(self) -> Callable[[bytes], None]:
        if self._encoding in {"", "identity"}:
            return self._sink
        if self._encoding in {"gzip", "deflate"}:
            self._zlib = zlib.decompressobj(wbits=31 if self._encoding == "gzip" else 15)
            return self._inflate
        if self._encoding == "zstd":
            import zstandard

            self._zstd = zstandard.ZstdDecompressor().decompressobj(write_size=_STEP_BYTES)
            return self._unzstd
        if self._encoding == "lz4":
            self._lz4 = optional_module("lz4.frame").LZ4FrameDecompressor()
            return self._unlz4
        raise EngineError(
            NOT_IMPLEMENTED,
            f"Content-Encoding {self._encoding[:40]!r} is not one of gzip, deflate, zstd, lz4",
            "NOT_IMPLEMENTED",
        )

    def _inflate(self, data: bytes) -> None:
        try:
            while data and not self._zlib.eof:
                self._sink(self._zlib.decompress(data, _STEP_BYTES))
                data = self._zlib.unconsumed_tail
        except zlib.error as exc:
            raise self._damaged(exc) from exc
        self._complete = self._zlib.eof

    def _unzstd(self, data: bytes) -> None:
        import zstandard

        try:
            for at in range(0, len(data), _ZSTD_PIECE):
                self._sink(self._zstd.decompress(data[at : at + _ZSTD_PIECE]))
        except zstandard.ZstdError as exc:
            raise self._damaged(exc) from exc
        self._complete = self._zstd.eof

    def _unlz4(self, data: bytes) -> None:
        try:
            while data or not (self._lz4.needs_input or self._lz4.eof):
                self._sink(self._lz4.decompress(data, _STEP_BYTES))
                data = b""
        except (RuntimeError, EOFError) as exc:
            raise self._damaged(exc) from exc
        self._complete = self._lz4.eof

    def _damaged(self, exc: Exception) -> EngineError:
        return EngineError(CANNOT_DECOMPRESS, f"The body is not {self._encoding}: {exc}", "CANNOT_DECOMPRESS")
