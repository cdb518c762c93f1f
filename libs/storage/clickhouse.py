"""ClickHouse: queries by the native protocol, bulk inserts by HTTP as ready-made Native blocks."""

from __future__ import annotations

import http.client
import queue
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from clickhouse_driver import Client
from clickhouse_driver import errors as driver_errors

from libs.kernel.errors import InvalidInput, Unavailable
from libs.storage.clickhouse_address import ClickHouseAddress
from libs.storage.http_post import HttpPoster

TIMEOUT_SECONDS = 30.0
INSERT_SECONDS = 120.0
# Refusals that say "not now", not "never": https://clickhouse.com/docs/ ErrorCodes
BUSY_CODES = frozenset({159, 202, 209, 210, 241, 242, 252, 319, 439, 999})
# The same code also says that one insert touches too many day partitions: that is about its rows.
TOO_MANY_PARTS, SCATTERED = 252, "for single INSERT block"
DEDUPLICATION = {
    "async_insert": "0",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "input_format_native_allow_types_conversion": "1",
}
# Most of a small insert is planning the materialized views; over rows in memory the plan is good as written.
# One message may span more days than the server's 100 partitions an insert, which refuses the whole of it.
MANY_DAYS = {"max_partitions_per_insert_block": "0"}
CHEAP_PLANNING = {"query_plan_enable_optimizations": "0", "max_threads": "1", "max_insert_threads": "1"}


class Refused(InvalidInput):
    """ClickHouse refuses a statement or its data. `code` is ClickHouse's error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__("clickhouse_refused", message)
        self.code = code


class ClickHouse:
    """A small thread-safe pool of connections to one database.

    An address given as text is read by `ClickHouseAddress.parse`, which raises InvalidInput. Calls raise Unavailable
    when the server is down or overloaded, Refused when it says no.
    """

    def __init__(self, address: str | ClickHouseAddress, pool_size: int = 4) -> None:
        self._address = ClickHouseAddress.parse(address) if isinstance(address, str) else address
        self.database = self._address.database
        self._idle: queue.LifoQueue[Client | None] = queue.LifoQueue()
        for _ in range(pool_size):
            self._idle.put(None)  # connected when first needed
        self._http = HttpPoster(
            self._address.host,
            self._address.http_port,
            {"X-ClickHouse-User": self._address.user, "X-ClickHouse-Key": self._address.password},
            TIMEOUT_SECONDS,
            INSERT_SECONDS,
        )

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query; `%(name)s` in the text is bound from params."""
        with self._client() as client:
            return list(client.execute(sql, dict(params) if params else None))

    def query_dicts(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries by column name."""
        with self._client() as client:
            rows, columns = client.execute(sql, dict(params) if params else None, with_column_types=True)
        names = [name for name, _type in columns]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        """Run a statement that returns nothing."""
        self.query(sql, params)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert a few rows; bulk data goes through insert_native."""
        with self._client() as client:
            client.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES", list(rows))

    def insert_native(self, table: str, columns: Sequence[str], body: bytes, token: str) -> None:
        """Insert `FORMAT Native` bytes; a second insert under the same token is dropped, in rollups too."""
        names = ", ".join(f"`{c}`" for c in columns)
        self.insert_body(f"INSERT INTO {table} ({names}) FORMAT Native", body, token)

    def insert_body(self, statement: str, body: bytes, token: str) -> None:
        """Run an INSERT whose rows come as bytes in the format it names, once per token."""
        params = {
            "query": statement,
            "database": self.database,
            "insert_deduplication_token": token,
            **DEDUPLICATION,
            **CHEAP_PLANNING,
            **MANY_DAYS,
        }
        answer = self._http.post(f"/?{urlencode(params)}", body)
        if answer.status != http.client.OK:
            raise _refusal(int(answer.headers.get("x-clickhouse-exception-code", 0)), answer.text[:500])

    def problem(self) -> str | None:
        """Return None when the server answers, else one sentence; a readiness check."""
        try:
            self.query("SELECT 1")
        except (Unavailable, Refused) as exc:
            return str(exc)
        return None

    def close(self) -> None:
        """Close all idle connections."""
        self._http.close()
        while not self._idle.empty():
            client = self._idle.get_nowait()
            if client is not None:
                client.disconnect()

    @contextmanager
    def _client(self) -> Iterator[Client]:
        client = self._idle.get()
        keep: Client | None = None
        try:
            client = client or self._connect()
            yield client
            keep = client
        except driver_errors.ServerException as exc:
            keep = client
            raise _refusal(exc.code, exc.message) from exc
        except (driver_errors.Error, OSError, EOFError) as exc:
            raise Unavailable(f"ClickHouse does not answer: {exc}") from exc
        finally:
            if keep is None and client is not None:
                client.disconnect()
            self._idle.put(keep)

    def _connect(self) -> Client:
        to = self._address
        return Client(
            to.host, to.port, database=to.database, user=to.user, password=to.password,
            connect_timeout=TIMEOUT_SECONDS, send_receive_timeout=INSERT_SECONDS, client_name="incidentscope",
        )  # fmt: skip


def _refusal(code: int, message: str) -> Refused | Unavailable:
    if code == TOO_MANY_PARTS and SCATTERED in message:
        return Refused(code, f"ClickHouse refuses rows of too many days at once: {message}")
    if code in BUSY_CODES or code == 0:
        return Unavailable(f"ClickHouse is busy (code {code}): {message}")
    return Refused(code, f"ClickHouse refuses (code {code}): {message}")
