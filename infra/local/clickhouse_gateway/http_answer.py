"""Running one HTTP request against the engine: which part is the statement, which is its data, what comes back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.errors import QUERY_IS_TOO_LARGE, READONLY, EngineError
from infra.local.clickhouse_gateway.http_request import HttpQuery
from infra.local.clickhouse_gateway.http_sessions import HttpSessions
from infra.local.clickhouse_gateway.session import Session, Written, refuse_local_file
from infra.local.clickhouse_gateway.spool import SpoolFile
from infra.local.clickhouse_gateway.sql import DataKind, Insert, find_input_call, first_word, parse_insert, split_output_format

MAX_STATEMENT_BYTES = 1 << 20
# Formats whose pieces may be joined; the engine repeats the frame of any other around each piece
STREAMABLE = frozenset({
    "native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "rowbinary", "jsoneachrow", "ndjson", "jsonlines",
    "jsoncompacteachrow", "jsonstringseachrow", "lineasstring",
})  # fmt: skip
_CONTENT_TYPES = {
    "tab": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "json": "application/json; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "pretty": "text/plain; charset=UTF-8",
    "vertical": "text/plain; charset=UTF-8",
    "values": "text/plain; charset=UTF-8",
}


@dataclass(frozen=True)
class Statement:
    """A request's SQL, and the rows that came behind it when it is an INSERT with data in a file."""

    sql: str
    insert: Insert | None
    data_format: str


def find_statement(request: HttpQuery, body: SpoolFile) -> tuple[Statement, bytes | None]:
    """Tell the statement from its data.

    Returns what the data file must begin with instead of the body, or None when the body is the data as it is.
    Raises EngineError 229 when the statement is too long.
    """
    insert = parse_insert(request.query)
    if insert is not None and _takes_data(insert):
        call = find_input_call(insert.tail)
        inline = call.data if call else insert.tail
        name = (call.format if call else insert.format) or "Values"
        if not inline.strip(" \t\r\n;"):
            return Statement(request.query, insert, name), None
        return Statement(request.query, insert, name), inline.encode() + body.path.read_bytes()[:MAX_STATEMENT_BYTES]
    return _from_body(request, body)


def _from_body(request: HttpQuery, body: SpoolFile) -> tuple[Statement, bytes | None]:
    with body.path.open("rb") as file:
        head = file.read(MAX_STATEMENT_BYTES)
    text = head.decode(errors="surrogateescape")
    sql = f"{request.query}\n{text}" if request.query and text else request.query or text
    insert = parse_insert(sql)
    if insert is not None and _takes_data(insert):
        call = find_input_call(insert.tail)
        tail = (call.data if call else insert.tail).encode(errors="surrogateescape")
        small_values = insert.kind is DataKind.VALUES and body.size < MAX_STATEMENT_BYTES
        if not small_values:
            return Statement(sql, insert, (call.format if call else insert.format) or "Values"), tail
    if body.size >= MAX_STATEMENT_BYTES:
        raise EngineError(QUERY_IS_TOO_LARGE, f"A statement is limited to {MAX_STATEMENT_BYTES} bytes", "QUERY_IS_TOO_LARGE")
    try:
        sql.encode()
    except UnicodeEncodeError as exc:
        raise EngineError(62, "Syntax error: the statement is not UTF-8", "SYNTAX_ERROR") from exc
    return Statement(sql, None, ""), None


def _takes_data(insert: Insert) -> bool:
    refuse_local_file(insert)
    return insert.kind is not DataKind.QUERY or find_input_call(insert.tail) is not None


class Answer:
    """The result of one request: headers first, then pieces of the body. Close it whatever happens."""

    def __init__(self, request: HttpQuery, sessions: HttpSessions) -> None:
        self._request = request
        self._resources = ExitStack()
        self._sessions = sessions
        self._pieces: Iterator[bytes] = iter(())
        self.headers: dict[str, str] = {}

    def start(self, body: SpoolFile, version: str, timezone: str) -> bytes:
        """Run the statement up to the first piece of its result, and return that. Raises EngineError."""
        self.headers = {
            "X-ClickHouse-Query-Id": self._request.query_id,
            "X-ClickHouse-Server-Display-Name": f"ClickHouse {version}",
            "X-ClickHouse-Timezone": timezone,
        }
        session = self._resources.enter_context(self._sessions.lend(self._request))
        codec = Codec() if self._request.frames_out else None
        statement, head = find_statement(self._request, body)
        session.apply(self._request.settings, strict=True)
        self._check_read_only(session, statement)
        if statement.insert is not None:
            self._insert(session, replace_head(statement, body, head), body)
            return b""
        self._pieces = self._encoded(self._run(session, statement.sql), codec)
        return next(self._pieces, b"")

    def next_piece(self) -> bytes:
        """Return the next piece of the body, or nothing at its end. Raises EngineError."""
        return next(self._pieces, b"")

    def close(self) -> None:
        """Give the session back."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
        self._resources.close()

    def _insert(self, session: Session, statement: Statement, body: SpoolFile) -> None:
        assert statement.insert is not None
        written = session.insert(statement.insert, statement.data_format, body.path) if body.size else Written(0, 0)
        self.headers["X-ClickHouse-Summary"] = json.dumps(
            {"read_rows": "0", "read_bytes": "0", "written_rows": str(written.rows), "written_bytes": str(written.bytes)}
        )
        self.headers["Content-Type"] = "text/plain; charset=UTF-8"

    def _check_read_only(self, session: Session, statement: Statement) -> None:
        # An INSERT's data is not SQL, so only its head is classified
        sql = statement.insert.head() + " VALUES" if statement.insert else statement.sql
        kind = session.classify(sql)
        if self._request.read_only and kind != "READ_ONLY" and first_word(sql) not in {"SET", "USE"}:
            reason = "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly; use POST for modifying queries"
            raise EngineError(READONLY, reason, "READONLY")

    def _run(self, session: Session, sql: str) -> Iterator[bytes]:
        output = split_output_format(sql)[1] or self._request.output
        self.headers["X-ClickHouse-Format"] = output
        self.headers["Content-Type"] = content_type(output)
        for chunk in session.run(sql, self._request.output, self._request.parameters, stream=output.lower() in STREAMABLE):
            if chunk.data:
                yield chunk.data

    def _encoded(self, pieces: Iterator[bytes], codec: Codec | None) -> Iterator[bytes]:
        if codec is not None:
            return map(codec.pack, pieces)
        if self._request.gzip_out:
            self.headers["Content-Encoding"] = "gzip"
            return _gzipped(pieces)
        return pieces


def replace_head(statement: Statement, body: SpoolFile, head: bytes | None) -> Statement:
    """Make the body's file hold the data only, when the statement stood in front of it."""
    if head is not None:
        body.drop_front(head, MAX_STATEMENT_BYTES)
    return replace(statement)


def content_type(output: str) -> str:
    """Return the media type of an output format."""
    name = output.lower()
    return next((kind for prefix, kind in _CONTENT_TYPES.items() if name.startswith(prefix)), "application/octet-stream")


def _gzipped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(level=3, wbits=31)
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def summary(values: Mapping[str, int]) -> str:
    """Write the X-ClickHouse-Summary header, whose numbers are strings."""
    return json.dumps({name: str(value) for name, value in values.items()})
