"""Running one HTTP request against the engine: headers first, then the result piece by piece."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.errors import READONLY, EngineError
from infra.local.clickhouse_gateway.http_encodings import Packer, new_packer, packed
from infra.local.clickhouse_gateway.http_form import Table
from infra.local.clickhouse_gateway.http_request import HttpQuery
from infra.local.clickhouse_gateway.http_sessions import HttpSessions
from infra.local.clickhouse_gateway.http_statement import MAX_STATEMENT_BYTES, Statement, find_statement
from infra.local.clickhouse_gateway.native_blocks import BLOCK_INFO
from infra.local.clickhouse_gateway.native_result import ResultBlocks
from infra.local.clickhouse_gateway.session import NOTHING_WRITTEN, Session, Written, quote_identifier
from infra.local.clickhouse_gateway.spool import SpoolFile, SpoolFolder
from infra.local.clickhouse_gateway.sql import DataKind, Insert, first_word, split_output_format

# Formats whose pieces may be joined; the engine repeats the frame of any other around each piece
STREAMABLE = frozenset({
    "native", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "rowbinary", "jsoneachrow", "ndjson",
    "jsonlines", "jsoncompacteachrow", "jsonstringseachrow", "lineasstring",
})  # fmt: skip
_SMALL_BYTES = 1 << 16
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


class Answer:
    """The result of one request. Close it whatever happens; one thread at a time may use it."""

    def __init__(self, request: HttpQuery, sessions: HttpSessions, spool: SpoolFolder) -> None:
        self._request = request
        self._sessions = sessions
        self._spool = spool
        self._resources = ExitStack()
        self._pieces: Iterator[bytes] = iter(())
        self._ahead: bytes | None = None
        self._guard = threading.Lock()
        self._abandonable: Session | None = None
        self._packer: Packer | None = None
        self._tag = secrets.token_hex(8)
        self.headers = {"X-ClickHouse-Query-Id": request.query_id, "X-ClickHouse-Exception-Tag": self._tag}

    def start(self, body: SpoolFile, tables: Sequence[Table] = ()) -> bytes:
        """Run the statement up to the first piece of its result, and return that. Raises EngineError.

        Neither the body nor the tables' files are needed afterwards.
        """
        codec = Codec() if self._request.frames_out else None
        statement = find_statement(self._request.query, body.head(MAX_STATEMENT_BYTES), body.size)
        session = self._resources.enter_context(self._sessions.lend(self._request))
        session.apply(self._request.settings, strict=True, query_id=self._request.query_id)
        self._classify(session, statement)
        for table in tables:
            self._add_table(session, table)
        if statement.insert is not None:
            self._summarize(self._insert(session, statement.insert, statement, body))
            self._ahead = b""
            return b""
        self._pieces = self._encoded(self._run(session, statement.sql), codec)
        first = self.next_piece()
        if len(first) < _SMALL_BYTES:
            self._ahead = self.next_piece()
        return first

    @property
    def complete(self) -> bool:
        """Whether the first piece was known to be the last."""
        return self._ahead == b""

    def next_piece(self) -> bytes:
        """Return the next piece of the body, or nothing at its end. Raises EngineError."""
        ahead, self._ahead = self._ahead, None
        return next(self._pieces, b"") if ahead is None else ahead

    def abandon(self) -> None:
        """Stop a query that only reads, as its client has left; from any thread. An insert goes on."""
        with self._guard:
            if self._abandonable is not None:
                self._abandonable.cancel()

    def failure(self, text: str) -> bytes:
        """Return what ends a body whose result failed half way: clients know it by the tag in the headers."""
        line, size = "__exception__\r\n", len(text.encode())
        ending = f"\r\n{line}{self._tag}\r\n{text}{size} {self._tag}\r\n{line}".encode()
        return self._packer.compress(ending) + self._packer.flush() if self._packer else ending

    def close(self) -> None:
        """Give the session back; a result that has not been read to its end is abandoned."""
        with self._guard:
            self._abandonable = None
        self._pieces = iter(())
        self._resources.close()

    def _add_table(self, session: Session, table: Table) -> None:
        name = quote_identifier(table.name)
        session.create_table(name, table.structure)
        self._resources.callback(session.drop_table, name)
        if table.rows.size:
            insert = Insert(name, False, None, "", DataKind.FORMAT, table.data_format, "")
            session.insert(insert, table.data_format, table.rows.path)

    def _insert(self, session: Session, insert: Insert, statement: Statement, body: SpoolFile) -> Written:
        if not (statement.data_start or statement.data_offset):
            return session.insert(insert, statement.data_format, body.path) if body.size else NOTHING_WRITTEN
        with self._spool.file() as rows:
            rows.write(statement.data_start)
            rows.copy_from(body, statement.data_offset)
            return session.insert(insert, statement.data_format, rows.path) if rows.size else NOTHING_WRITTEN

    def _summarize(self, written: Written) -> None:
        values = {"read_rows": 0, "read_bytes": 0, "written_rows": written.rows, "written_bytes": written.bytes}
        self.headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in values.items()})
        self.headers["Content-Type"] = "text/plain; charset=UTF-8"

    def _classify(self, session: Session, statement: Statement) -> None:
        # An INSERT's data is not SQL, so only its head is classified
        sql = f"{statement.insert.head()} VALUES" if statement.insert else statement.sql
        kind = session.classify(sql)
        if self._request.read_only and kind != "READ_ONLY" and first_word(sql) not in {"SET", "USE"}:
            reason = (
                "Cannot execute query in readonly mode. Over HTTP the method GET implies readonly; modify with POST"
            )
            raise EngineError(READONLY, reason, "READONLY")
        if kind == "READ_ONLY":
            with self._guard:
                self._abandonable = session

    def _run(self, session: Session, sql: str) -> Iterator[bytes]:
        plain, named = split_output_format(sql)
        output = named or self._request.output
        self.headers["X-ClickHouse-Format"] = output
        self.headers["Content-Type"] = content_type(output)
        stream, params = output.lower() in STREAMABLE, self._request.parameters
        if output == "Native" and self._request.revision:
            result = ResultBlocks(session, plain, params, self._request.revision)
            yield from (BLOCK_INFO + block for block in result.of(session.run(plain, output, params, stream=stream)))
            return
        for chunk in session.run(sql, self._request.output, params, stream=stream):
            if chunk.data:
                yield chunk.data

    def _encoded(self, pieces: Iterator[bytes], codec: Codec | None) -> Iterator[bytes]:
        if codec is not None:
            return map(codec.pack, pieces)
        if encoding := self._request.encoding_out:
            self.headers["Content-Encoding"] = encoding
            self._packer = new_packer(encoding)
            return packed(self._packer, pieces)
        return pieces


def content_type(output: str) -> str:
    """Return the media type of an output format."""
    name = output.lower()
    return next(
        (kind for prefix, kind in _CONTENT_TYPES.items() if name.startswith(prefix)), "application/octet-stream"
    )
