"""One client's session with the engine: its database, its settings, its running query."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.clickhouse_gateway.engine import Connection, Engine
from infra.local.clickhouse_gateway.errors import (
    NOT_IMPLEMENTED,
    OUTFILE_NOT_ALLOWED,
    QUERY_WAS_CANCELLED,
    SYNTAX_ERROR,
    UNKNOWN_SETTING,
    EngineError,
    parse_engine_error,
)
from infra.local.clickhouse_gateway.sql import Insert, find_input_call, first_word, has_outfile, replace_words

# A server refuses what the embedded engine would guess at; ours also marks its queries, so that they can be cancelled
_BASE_SETTINGS = {"implicit_select": "0", "allow_introspection_functions": "0"}
_MARKER_SETTING = "log_comment"
_MARKED = f"Settings['{_MARKER_SETTING}']"
_OWN_QUERY_ID = f"substring({_MARKED}, position({_MARKED}, ' ') + 1)"  # the engine gives ids of its own
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_ESCAPE = re.compile(r"\\(.)|'(')", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "f": "\f"}
_NOT_STREAMABLE = "Streaming query is not supported"
_MULTI_STATEMENT_SAMPLE = 1 << 16


@dataclass(frozen=True)
class Chunk:
    """A piece of a result in its output format: one block when that is Native and the query streams."""

    data: bytes
    rows: int


@dataclass(frozen=True)
class Written:
    """What an insert wrote, materialized views included."""

    rows: int
    bytes: int


NOTHING_WRITTEN = Written(0, 0)


class Session:
    """A connection to the engine with a database and settings of its own.

    KILL QUERY finds its statements by `query_id`, unless they come with their own. One thread at a time may use it,
    except for `cancel`. Every method raises EngineError with ClickHouse's code.
    """

    def __init__(self, engine: Engine, database: str = "", query_id: str = "") -> None:
        self._engine = engine
        self._marker = engine.next_marker()
        self._query_id = query_id
        self._replay: list[str] = [f"USE {quote_identifier(database)}"] if database else []
        self._applied: dict[str, str] = {}
        self._originals: dict[str, str | None] = {}
        self._cancelled = threading.Event()
        self._connection = self._open()

    def close(self) -> None:
        """Give the connection back; a query that still runs is cancelled."""
        self._connection.close()

    @property
    def cancelled(self) -> bool:
        """Whether the current query has been cancelled."""
        return self._cancelled.is_set()

    def begin(self) -> None:
        """Forget an earlier cancellation; call it before each statement."""
        self._cancelled.clear()

    def cancel(self) -> None:
        """Stop the running query, from any thread."""
        self._cancelled.set()
        self._engine.kill(self._marker)

    def apply(self, settings: Mapping[str, str], *, strict: bool, query_id: str = "") -> None:
        """Make these the settings of the next statement, in place of the last call's; SET in SQL stays underneath.

        With strict an unknown setting is refused (code 115), else it is ignored.
        """
        wanted = {name: value for name, value in settings.items() if name != _MARKER_SETTING}
        if query_id not in {"", self._query_id}:
            wanted[_MARKER_SETTING] = f"{self._marker} {query_id}"
        if wanted == self._applied:
            return
        self._restore()
        if wanted:
            self._originals = self._changed_values(wanted)
            self._set(wanted, strict=strict)
        self._applied = wanted

    def classify(self, sql: str) -> str:
        """Return the engine's class of a statement: READ_ONLY, MUTATING, CONTROL, and so on.

        Raises EngineError 62 unless there is exactly one statement.
        """
        report = self._connection.classify_query(sql, "")
        kind, count = str(report["query_class"]).rpartition(".")[2], int(report["statement_count"])
        if count > 1:
            raise EngineError(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)", "SYNTAX_ERROR")
        if count == 0 and not first_word(sql):
            raise EngineError(SYNTAX_ERROR, "Syntax error: Empty query", "SYNTAX_ERROR")
        return kind

    def run(self, sql: str, output: str, params: Mapping[str, str], *, stream: bool) -> Iterator[Chunk]:
        """Run a statement, yielding its result in format `output`: piece by piece with `stream`, where possible."""
        if has_outfile(sql):
            raise EngineError(
                OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed on a server", "INTO_OUTFILE_NOT_ALLOWED"
            )
        word = first_word(sql)
        if stream and word in {"SELECT", "WITH", "FROM"}:
            try:
                handle = self._connection.send_query(sql, output, params=params)
            except RuntimeError as exc:
                if _NOT_STREAMABLE not in str(exc):
                    raise parse_engine_error(str(exc)) from exc
            else:
                yield from self._fetch(handle)
                return
        if word in {"SET", "USE"}:
            self._restore()
        if word == "KILL":
            sql = replace_words(sql, {"query_id": _OWN_QUERY_ID})
        result = self._query(sql, output, params)
        if word in {"SET", "USE"}:
            self._replay.append(sql)
        yield Chunk(result.bytes(), result.rows_read())

    def describe(self, sql: str, params: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the names and types of a query's columns, or nothing when the engine cannot tell."""
        try:
            if first_word(sql) in {"SELECT", "WITH", "FROM"}:
                return self._describe(f"DESCRIBE TABLE (\n{sql}\n)", params)
            meta = json.loads(self._query(sql, "JSONCompact", params).bytes() or b"{}").get("meta", [])
            return [(column["name"], column["type"]) for column in meta]
        except (EngineError, ValueError):
            return []

    def describe_aside(self, sql: str, params: Mapping[str, str]) -> list[tuple[str, str]]:
        """Do the same while a result of this session is still being read; the session's own tables are not seen."""
        try:
            aside = self._open()
        except EngineError:
            return []
        busy, self._connection = self._connection, aside
        try:
            return self.describe(sql, params)
        finally:
            self._connection = busy
            aside.close()

    def insert_columns(self, insert: Insert) -> list[tuple[str, str]]:
        """Return the names and types of the columns an INSERT takes, in its order."""
        call = find_input_call(insert.tail)
        if call is not None:
            return self._describe(f"DESCRIBE TABLE format(Values, {call.structure}, '')", {})
        target = self._describe(f"DESCRIBE TABLE {insert.target}", {})
        if insert.columns is None:
            return target
        types = dict(target)
        names = [unquote_identifier(name.strip()) for name in insert.columns.split(",")]
        if all(name in types for name in names):
            return [(name, types[name]) for name in names]
        return self._describe(f"DESCRIBE TABLE (SELECT {insert.columns} FROM {insert.target})", {})

    def insert(self, insert: Insert, data_format: str, path: Path) -> Written:
        """Insert a complete file of rows in an input format; nothing of it is kept in memory."""
        where = quote_string(str(path))
        call = find_input_call(insert.tail)
        if call is not None:
            source = f"file({where}, {quote_string(data_format)}, {call.structure})"
            sql = f"{insert.head()} {insert.settings} {call.before}{source}{call.after}"
        else:
            source = f"FROM INFILE {where} COMPRESSION 'none'"
            sql = f"{self._with_columns(insert)} {source} {insert.settings} FORMAT {data_format}"
        result = self._query(sql, "TSV", {})
        return Written(result.rows_written(), result.bytes_written())

    def create_table(self, name: str, structure: str) -> None:
        """Create a temporary table of the session's; `name` is quoted already."""
        list(self.run(f"CREATE TEMPORARY TABLE {name} ({structure})", "TSV", {}, stream=False))

    def drop_table(self, name: str) -> None:
        """Drop it, if it is there."""
        list(self.run(f"DROP TEMPORARY TABLE IF EXISTS {name}", "TSV", {}, stream=False))

    def _with_columns(self, insert: Insert) -> str:
        if insert.columns is not None or insert.is_function:
            return insert.head()
        names = ", ".join(quote_identifier(name) for name, _type in self.insert_columns(insert))
        return f"{insert.head()} ({names})"

    def _fetch(self, handle: Any) -> Iterator[Chunk]:
        open_handle = True
        try:
            while not self._cancelled.is_set():
                try:
                    result = self._connection.streaming_fetch_result(handle)
                except RuntimeError as exc:
                    open_handle = False
                    raise parse_engine_error(str(exc)) from exc
                data, rows = result.bytes(), result.rows_read()
                if not data and not rows:
                    open_handle = False
                    return
                yield Chunk(data, rows)
            raise _cancelled_error()
        finally:
            if open_handle:
                self._connection.streaming_cancel_query(handle)

    def _query(self, sql: str, output: str, params: Mapping[str, str]) -> Any:
        if self._cancelled.is_set():
            raise _cancelled_error()
        try:
            return self._connection.query(sql, output, params=params)
        except RuntimeError as exc:
            raise parse_engine_error(str(exc)) from exc

    def _describe(self, sql: str, params: Mapping[str, str]) -> list[tuple[str, str]]:
        lines = self._query(sql, "JSONCompactEachRow", params).bytes().splitlines()
        rows = [json.loads(line) for line in lines]
        return [(row[0], row[1]) for row in rows if row[2] not in {"MATERIALIZED", "ALIAS", "EPHEMERAL"}]

    def _open(self) -> Connection:
        connection = self._engine.connect()
        try:
            base = {**_BASE_SETTINGS, _MARKER_SETTING: f"{self._marker} {self._query_id}"}
            for sql in [_set_statement(base), *self._replay]:
                connection.query(sql, "TSV", params={})
        except RuntimeError as exc:
            connection.close()
            raise parse_engine_error(str(exc)) from exc
        return connection

    def _restore(self) -> None:
        """Take the last statement's settings back; a session that made itself readonly is replaced by a new one."""
        if not self._applied:
            return
        restored = [f"{n} = {'DEFAULT' if v is None else quote_string(v)}" for n, v in self._originals.items()]
        self._applied, self._originals = {}, {}
        try:
            if restored:
                self._connection.query(f"SET {', '.join(restored)}", "TSV", params={})
        except RuntimeError:
            fresh = self._open()
            self._connection.close()
            self._connection = fresh

    def _changed_values(self, settings: Mapping[str, str]) -> dict[str, str | None]:
        names = ", ".join(quote_string(name) for name in settings if _SETTING_NAME.fullmatch(name))
        sql = (
            f"SELECT name, if(changed, value, NULL) FROM system.settings WHERE name IN ({names})"
            if names
            else "SELECT '', NULL LIMIT 0"
        )
        lines = self._query(sql, "JSONCompactEachRow", {}).bytes().splitlines()
        return dict(map(json.loads, lines))

    def _set(self, settings: Mapping[str, str], *, strict: bool) -> None:
        for name in settings:
            if not _SETTING_NAME.fullmatch(name):
                raise EngineError(UNKNOWN_SETTING, f"Unknown setting '{name}'", "UNKNOWN_SETTING")
        try:
            self._query(_set_statement(settings), "TSV", {})
        except EngineError as exc:
            if strict or exc.code != UNKNOWN_SETTING:
                raise
            self._set_known(settings)

    def _set_known(self, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            try:
                self._query(_set_statement({name: value}), "TSV", {})
            except EngineError as exc:
                if exc.code != UNKNOWN_SETTING:
                    raise


def refuse_local_file(insert: Insert) -> None:
    """Raise EngineError 48 on FROM INFILE, which names a file of the client, not of the server."""
    words = insert.tail.split(None, 2)
    if [word.upper() for word in words[:2]] == ["FROM", "INFILE"]:
        raise EngineError(
            NOT_IMPLEMENTED, "FROM INFILE is a client's statement, servers do not read files", "NOT_IMPLEMENTED"
        )


def quote_string(text: str) -> str:
    """Write a string literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0")
    return f"'{escaped}'"


def unquote_string(text: str) -> str:
    """Read a string literal; what is not quoted is taken as it stands."""
    if len(text) < 2 or text[0] != "'" or text[-1] != "'":
        return text
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[found.lastindex or 0], found[found.lastindex or 0]), text[1:-1])


def quote_identifier(name: str) -> str:
    """Write a name as an identifier."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def unquote_identifier(text: str) -> str:
    """Read an identifier, quoted or not."""
    if len(text) >= 2 and text[0] in '`"' and text[-1] == text[0]:
        return re.sub(r"\\(.)", r"\1", text[1:-1]).replace(text[0] * 2, text[0])
    return text


def _set_statement(settings: Mapping[str, str]) -> str:
    return "SET " + ", ".join(f"{name} = {quote_string(value)}" for name, value in settings.items())


def _cancelled_error() -> EngineError:
    return EngineError(QUERY_WAS_CANCELLED, "Query was cancelled", "QUERY_WAS_CANCELLED")
