"""Which part of an HTTP request is the statement, and which is the data it inserts."""

from __future__ import annotations

from dataclasses import dataclass

from infra.local.clickhouse_gateway.errors import QUERY_IS_TOO_LARGE, SYNTAX_ERROR, EngineError
from infra.local.clickhouse_gateway.session import refuse_local_file
from infra.local.clickhouse_gateway.sql import DataKind, Insert, find_input_call, parse_insert

MAX_STATEMENT_BYTES = 1 << 20
_BLANK = " \t\r\n;"


@dataclass(frozen=True)
class Statement:
    """A request's SQL.

    For an INSERT whose rows came along, `insert` is set, and the rows in `data_format` are `data_start` followed by
    the body from `data_offset` on.
    """

    sql: str
    insert: Insert | None = None
    data_format: str = ""
    data_start: bytes = b""
    data_offset: int = 0


def find_statement(query: str, head: bytes, body_size: int) -> Statement:
    """Tell a request's statement from its data.

    `query` is the URL's parameter; `head` the first MAX_STATEMENT_BYTES of a body of `body_size` bytes. Raises
    EngineError 229 when the statement is longer than that, 62 when it is not UTF-8.
    """
    insert = parse_insert(query)
    if insert is not None and _takes_data(insert):
        name, inline = _data(insert)
        start = inline.encode() if inline.strip(_BLANK) else b""
        if insert.kind is not DataKind.VALUES or not start:
            return Statement(query, insert, name, start)
    return _from_body(query, head, body_size)


def _from_body(query: str, head: bytes, body_size: int) -> Statement:
    text = head.decode(errors="surrogateescape")
    sql = f"{query}\n{text}" if query and text else query or text
    whole = body_size <= len(head)
    insert = parse_insert(sql)
    if insert is not None and _takes_data(insert):
        name, inline = _data(insert)
        # VALUES may hold any expression, which the engine only evaluates as part of the statement
        if insert.kind is not DataKind.VALUES or not whole:
            return Statement(sql, insert, name, inline.encode(errors="surrogateescape"), len(head))
    if not whole:
        raise EngineError(
            QUERY_IS_TOO_LARGE, f"A statement is limited to {MAX_STATEMENT_BYTES} bytes", "QUERY_IS_TOO_LARGE"
        )
    try:
        sql.encode()
    except UnicodeEncodeError as exc:
        raise EngineError(SYNTAX_ERROR, "Syntax error: the statement is not UTF-8", "SYNTAX_ERROR") from exc
    return Statement(sql)


def _data(insert: Insert) -> tuple[str, str]:
    """Return the format of an INSERT's data, and what of it stands in the statement."""
    call = find_input_call(insert.tail) if insert.kind is DataKind.QUERY else None
    if call is not None:
        return call.format or "Values", call.data
    return insert.format or "Values", insert.tail


def _takes_data(insert: Insert) -> bool:
    refuse_local_file(insert)
    return insert.kind is not DataKind.QUERY or find_input_call(insert.tail) is not None
