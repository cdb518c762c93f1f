"""Just enough of ClickHouse's grammar to route a statement: where an INSERT's data starts, which FORMAT ends a query.

Everything else about a statement is the engine's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from infra.local.clickhouse_gateway.errors import SYNTAX_ERROR, EngineError

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
  | (?P<heredoc>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<word>[^\W\d]\w*)
  | (?P<other>\d\w*|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORMAT_NAME = re.compile(r"\s*[`\"]?(\w+)[`\"]?(?:[ \t]*;)?[ \t]*(?:\r?\n)?")
_OPEN, _CLOSE = "([{", ")]}"
_STATEMENT_SAMPLE = 80
_LOOK_AHEAD = 4096


class DataKind(StrEnum):
    """Where the rows of an INSERT come from; also the answer to "must the client send data?"."""

    QUERY = "query"  # INSERT ... SELECT
    VALUES = "values"
    FORMAT = "format"
    UNSPECIFIED = "unspecified"  # INSERT INTO t (a, b), the data follows in the protocol


@dataclass(frozen=True)
class Token:
    """One token of a statement: `kind` is the name of its group above, `start` and `end` are character positions."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    def is_word(self, *words: str) -> bool:
        """Tell whether this is one of the keywords (given in upper case), outside any bracket."""
        return self.kind == "word" and self.depth == 0 and self.text.upper() in words


@dataclass(frozen=True)
class Insert:
    """An INSERT statement cut into its parts, all verbatim.

    `target` is a table name, or a table function call when `is_function`; `columns` is the text between the
    parentheses or None; `settings` the SETTINGS clause; `tail` what follows VALUES or FORMAT x, or the whole SELECT.
    """

    target: str
    is_function: bool
    columns: str | None
    settings: str
    kind: DataKind
    format: str
    tail: str

    def head(self) -> str:
        """Return the statement up to where FROM INFILE may stand."""
        function = "FUNCTION " if self.is_function else ""
        columns = f" ({self.columns})" if self.columns is not None else ""
        return f"INSERT INTO {function}{self.target}{columns}"


@dataclass(frozen=True)
class InputCall:
    """An `INSERT ... SELECT ... FROM input('structure') FORMAT x` cut around its call and its data."""

    before: str
    structure: str
    after: str
    format: str
    data: str


def tokens(sql: str) -> Iterator[Token]:
    """Yield the tokens of a statement lazily, without space and comments; brackets carry their outer depth."""
    depth = 0
    for found in _TOKEN.finditer(sql):
        kind, text = found.lastgroup or "other", found.group()
        if found.group("heredoc"):
            kind = "heredoc"
        if kind == "space":
            continue
        if text in _CLOSE:
            depth -= 1
        yield Token(kind, text, found.start(), found.end(), depth)
        if text in _OPEN:
            depth += 1


def first_word(sql: str) -> str:
    """Return the first keyword in upper case, or an empty string; opening parentheses are passed over."""
    for token in tokens(sql):
        if token.kind == "word":
            return token.text.upper()
        if token.text != "(":
            break
    return ""


def replace_words(sql: str, by: Mapping[str, str]) -> str:
    """Return a statement with other text for some of its words, which are given in lower case."""
    parts, at = [], 0
    for token in tokens(sql):
        if token.kind in {"word", "quoted"} and (other := by.get(token.text.strip('`"').lower())):
            parts += [sql[at : token.start], other]
            at = token.end
    return "".join([*parts, sql[at:]])


def split_output_format(sql: str) -> tuple[str, str]:
    """Return a query without its closing FORMAT clause, and that format's name or an empty string."""
    if not sql.rstrip().endswith(";") and "format" not in sql.lower():
        return sql, ""
    tail: list[Token] = []
    for token in tokens(sql):
        tail = [*tail[-7:], token]
    while tail and tail[-1].text == ";":
        sql = sql[: tail.pop().start]
    for at in range(len(tail) - 1):
        word, name = tail[at], tail[at + 1]
        ends = at + 2 == len(tail) or tail[at + 2].is_word("SETTINGS")
        if word.is_word("FORMAT") and name.kind in {"word", "quoted"} and ends:
            return sql[: word.start] + sql[name.end :], name.text.strip('`"')
    return sql, ""


def has_outfile(sql: str) -> bool:
    """Tell whether a query wants its result in a file on the server, which servers refuse."""
    before: Token | None = None
    for token in tokens(sql) if "outfile" in sql.lower() else ():
        if token.is_word("OUTFILE") and before is not None and before.is_word("INTO"):
            return True
        before = token
    return False


def parse_insert(sql: str) -> Insert | None:
    """Cut an INSERT into its parts, or return None for any other statement.

    Reads no further than where the data starts. Raises EngineError 62 on an INSERT without a target.
    """
    stream = _Cursor(sql)
    if not stream.take("INSERT"):
        return None
    stream.take("INTO")
    stream.take("TABLE")
    is_function = stream.take("FUNCTION")
    target = stream.target(is_function)
    columns = stream.columns()
    settings = stream.until("VALUES", "FORMAT", "SELECT", "WITH", "FROM", "WATCH", "(", ";")
    kind, name, tail = stream.data()
    return Insert(target, is_function, columns, settings.strip(), kind, name, tail)


def find_input_call(select: str) -> InputCall | None:
    """Find `input(...)` in the SELECT of an INSERT, or return None when the rows come from elsewhere."""
    stream = tokens(select)
    before: Token | None = None
    for token in stream:
        if token.text == "(" and before is not None and before.kind == "word" and before.text.lower() == "input":
            closing = next((t for t in stream if t.text == ")" and t.depth == token.depth), None)
            if closing is None:
                return None
            end, name, data = _format_after(select, closing.end)
            return InputCall(
                select[: before.start], select[token.end : closing.start], select[closing.end : end], name, data
            )
        before = token
    return None


def _format_after(select: str, start: int) -> tuple[int, str, str]:
    for token in tokens(select[start:]):
        if token.is_word("FORMAT"):
            name, data = _format_name(select, start + token.end)
            return start + token.start, name, data
    return len(select.rstrip().rstrip(";")), "", ""


def _format_name(sql: str, at: int) -> tuple[str, str]:
    # Read by hand: the bytes after the name may be data of any kind
    found = _FORMAT_NAME.match(sql, at)
    if found is None:
        raise EngineError(SYNTAX_ERROR, "Syntax error: a format name is missing after FORMAT", "SYNTAX_ERROR")
    return found.group(1), sql[found.end() :]


class _Cursor:
    """Walks the tokens of one INSERT from left to right."""

    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = tokens(sql)
        self._next = next(self._tokens, None)

    def _advance(self) -> Token:
        token = self._next
        if token is None:
            raise EngineError(
                SYNTAX_ERROR, f"Syntax error: failed at end of query: {self._sql[:_STATEMENT_SAMPLE]}", "SYNTAX_ERROR"
            )
        self._next = next(self._tokens, None)
        return token

    def peek_word(self, *words: str) -> bool:
        return self._next is not None and self._next.is_word(*words)

    def take(self, word: str) -> bool:
        if not self.peek_word(word):
            return False
        self._advance()
        return True

    def target(self, is_function: bool) -> str:
        """Read `name`, `db.name` or `function(...)`."""
        first = last = self._advance()
        while self._next is not None and (self._next.text == "." or last.text == "."):
            last = self._advance()
        if is_function:
            last = self._closing() or last
        return self._sql[first.start : last.end]

    def columns(self) -> str | None:
        if self._next is None or self._next.text != "(":
            return None
        start = self._next.end
        if first_word(self._sql[start : start + _LOOK_AHEAD]) in {"SELECT", "WITH", "FROM"}:
            return None
        last = self._closing()
        return self._sql[start : last.start] if last else None

    def _closing(self) -> Token | None:
        """Read a bracketed part, and return its closing bracket."""
        if self._next is None or self._next.text != "(":
            return None
        depth = self._advance().depth
        while True:
            token = self._advance()
            if token.text == ")" and token.depth == depth:
                return token

    def until(self, *stops: str) -> str:
        """Return the text up to the first of the stops, which stays unread."""
        start = end = self._next.start if self._next else len(self._sql)
        while self._next is not None and not (
            self._next.is_word(*stops) or (self._next.depth == 0 and self._next.text in stops)
        ):
            end = self._advance().end
        return self._sql[start:end]

    def data(self) -> tuple[DataKind, str, str]:
        """Return what kind of data follows, its format and the remaining text."""
        if self._next is None or self._next.text == ";":
            return DataKind.UNSPECIFIED, "", ""
        if self.peek_word("VALUES"):
            return DataKind.VALUES, "Values", self._sql[self._next.end :]
        if self.peek_word("FORMAT"):
            name, tail = _format_name(self._sql, self._next.end)
            return DataKind.FORMAT, name, tail
        return DataKind.QUERY, "", self._sql[self._next.start :]
