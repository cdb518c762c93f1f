"""Where a ClickHouse server is and who logs in there, read from a URL and written as one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from libs.kernel.errors import InvalidInput

SCHEME = "clickhouse"
NATIVE_PORT, HTTP_PORT = 9000, 8123
PASSWORD_VARIABLE = "CLICKHOUSE_PASSWORD"  # noqa: S105  # the name ClickHouse's own client gives it


@dataclass(frozen=True, slots=True)
class ClickHouseAddress:
    """One database of one server, and the account to use it with; `str()` is its URL, each part escaped."""

    host: str
    port: int = NATIVE_PORT
    http_port: int = HTTP_PORT
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"

    @classmethod
    def parse(cls, url: str, environment: Mapping[str, str] = os.environ) -> ClickHouseAddress:
        """Read `clickhouse://user:password@host:9000/database?http_port=8123`; raises InvalidInput, without the URL.

        Where the URL names no password, CLICKHOUSE_PASSWORD is it: there nothing has to be escaped.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or NATIVE_PORT
            http_port = int(parse_qs(parts.query).get("http_port", [str(HTTP_PORT)])[0])
        except ValueError as exc:
            raise _unreadable("a port is not a number, or a character in the password is not escaped") from exc
        if parts.scheme != SCHEME or not parts.hostname:
            raise _unreadable("it names no server")
        return cls(
            parts.hostname,
            port,
            http_port,
            unquote(parts.username or "default"),
            environment.get(PASSWORD_VARIABLE, "") if parts.password is None else unquote(parts.password),
            _database(parts),
        )

    def of(self, database: str) -> ClickHouseAddress:
        """Return the address of another database of the same server, with the same account."""
        return replace(self, database=database)

    def __str__(self) -> str:
        """Return the URL, password included."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        password = f":{quote(self.password, safe='')}" if self.password else ""
        account = f"{quote(self.user, safe='')}{password}"
        query = urlencode({"http_port": self.http_port})
        return f"{SCHEME}://{account}@{host}:{self.port}/{quote(self.database, safe='')}?{query}"


def identifier(name: str) -> str:
    """Return a name as ClickHouse's SQL takes any: in backquotes."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _database(parts: SplitResult) -> str:
    path = parts.path.removeprefix("/")
    if "/" in path or parts.fragment:
        raise _unreadable("it names more than a database, or a character in it is not escaped")
    return unquote(path) or "default"


def _unreadable(why: str) -> InvalidInput:
    example = f"{SCHEME}://user:password@host:{NATIVE_PORT}/database?http_port={HTTP_PORT}"
    return InvalidInput("clickhouse_address", f"the ClickHouse address should look like {example}: {why}")
