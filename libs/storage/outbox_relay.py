"""The relay: carries committed outbox rows to Kafka, each exactly once for `read_committed` subscribers.

Positions are taken from Kafka, where they are written in the same transaction as the messages; Postgres only keeps
the rows. One relay per outbox leads (a session advisory lock); should two believe they do, Kafka fences the older.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import psycopg
import structlog
from prometheus_client import Counter, Gauge, Histogram
from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.sql import SQL, Composed, Identifier

from libs.kernel.errors import Unavailable
from libs.storage.outbox import LANES, from_row
from libs.storage.outbox_kafka import KafkaOutbox

T = TypeVar("T")
log = structlog.get_logger()

AGE = Gauge("incidentscope_outbox_oldest_unpublished_seconds", "Age of the oldest unpublished row", ["outbox"])
UNPUBLISHED = Gauge("incidentscope_outbox_unpublished_rows", "Rows not yet published", ["outbox"])
PUBLISHED = Counter("incidentscope_outbox_published", "Rows published", ["outbox"])
DELAY = Histogram(
    "incidentscope_outbox_publish_delay_seconds", "From writing a row to its committed publication", ["outbox"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
RESTARTS = Counter("incidentscope_outbox_relay_restarts", "Times the relay started over", ["outbox", "reason"])

_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "connect_timeout": 5}

_UNPUBLISHED = """
SELECT o.lane, o.id, o.topic, o.key, o.headers, o.value, extract(epoch FROM o.created_at)::float8 AS created_at
FROM unnest(%(lanes)s::smallint[], %(positions)s::bigint[]) AS p (lane, position)
CROSS JOIN LATERAL (
    SELECT * FROM {outbox} WHERE lane = p.lane AND id > p.position ORDER BY id LIMIT %(limit)s
) AS o
ORDER BY o.lane, o.id"""
_BACKLOG = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(o.created_at)), 0)::float8 AS age
FROM unnest(%(lanes)s::smallint[], %(positions)s::bigint[]) AS p (lane, position)
JOIN {outbox} AS o ON o.lane = p.lane AND o.id > p.position"""
_SWEEP = """
DELETE FROM {outbox} AS o USING unnest(%(lanes)s::smallint[], %(positions)s::bigint[]) AS p (lane, position)
WHERE o.lane = p.lane AND o.id <= p.position"""
_LEAD = "SELECT pg_try_advisory_lock(hashtext('outbox relay'), hashtext(%s))"


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How a relay paces itself; times in seconds, `rows_per_lane` bounds one Kafka transaction to 16 times that."""

    rows_per_lane: int = 64
    poll_every: float = 0.1
    sweep_every: float = 5.0
    watch_every: float = 2.0
    retry_first: float = 0.2
    retry_most: float = 10.0
    lagging_after: float = 30.0


class _Row(NamedTuple):
    lane: int
    id: int
    topic: str
    key: bytes
    headers: Sequence[Sequence[str]]
    value: bytes
    created_at: float


class _Backlog(NamedTuple):
    rows: int
    age: float


class Relay:
    """Publishes the outbox of one schema; `url` is a PostgreSQL connection string, `bootstrap` Kafka's."""

    def __init__(self, url: str, schema: str, bootstrap: str, options: RelayOptions | None = None) -> None:
        self._url = url
        self._schema = schema
        self._options = options or RelayOptions()
        self._kafka = KafkaOutbox(bootstrap, schema)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"outbox-{schema}")
        self._positions = dict.fromkeys(range(LANES), 0)
        self._stopping = asyncio.Event()
        self._backlog = _Backlog(0, 0.0)
        self._measured_at = time.monotonic()
        self._trouble = ""
        self._swept = 0.0

    async def run(self) -> None:
        """Publish until `stop`; outages of the broker or the database are waited out, nothing is lost by them."""
        watch = asyncio.create_task(self._watch())
        pause = self._options.retry_first
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                await self._attempt()
                if time.monotonic() - started > self._options.retry_most:
                    pause = self._options.retry_first
                await self._sleep(pause)
                pause = min(pause * 2, self._options.retry_most)
        finally:
            watch.cancel()
            await self._call(self._kafka.close)
            self._thread.shutdown(wait=False)

    async def stop(self) -> None:
        """Ask `run` to return after the batch at hand."""
        self._stopping.set()

    def lagging(self) -> str | None:
        """Return why publication lags, or None while the oldest unpublished row is younger than the bound."""
        unseen = time.monotonic() - self._measured_at
        if unseen > max(self._options.lagging_after, 5 * self._options.watch_every):
            return f"what waits could not be counted for {unseen:.0f} s"
        if self._backlog.age <= self._options.lagging_after:
            return None
        why = f"; {self._trouble}" if self._trouble else ""
        return f"{self._backlog.rows} events wait, the oldest for {self._backlog.age:.0f} s{why}"

    async def _attempt(self) -> None:
        try:
            await self._lead()
        except Exception as exc:  # nothing is lost by starting over, and all is by ending
            reason = _reason(exc)
            self._trouble = str(exc) or repr(exc)
            RESTARTS.labels(self._schema, reason).inc()
            told = exc if reason == "unexpected" else None
            log.warning("outbox_relay_restarts", outbox=self._schema, reason=reason, error=self._trouble, exc_info=told)

    async def _lead(self) -> None:
        async with await self._connect() as conn:
            if not await self._elected(conn):
                return
            positions = dict.fromkeys(range(LANES), 0) | await self._call(self._kafka.open)
            await self._refuse_older_database(conn, positions)
            self._positions, self._trouble = positions, ""
            log.info("outbox_relay_leads", outbox=self._schema)
            while not self._stopping.is_set():
                if not await self._publish_some(conn):
                    await self._sleep(self._options.poll_every)
                await self._sweep(conn)

    async def _connect(self) -> AsyncConnection[Any]:
        name = f"outbox-relay-{self._schema}"
        return await AsyncConnection.connect(self._url, autocommit=True, application_name=name, **_KEEPALIVE)  # type: ignore[arg-type]

    async def _elected(self, conn: AsyncConnection[Any]) -> bool:
        """Wait for the lock another relay holds; False when stopped meanwhile."""
        while not self._stopping.is_set():
            cursor = await conn.execute(_LEAD, (self._schema,))
            if (await cursor.fetchone() or (False,))[0]:
                return True
            await self._sleep(self._options.poll_every)
        return False

    async def _refuse_older_database(self, conn: AsyncConnection[Any], positions: Mapping[int, int]) -> None:
        """A database restored from a backup would draw ids the positions have passed: those events would be lost."""
        last = await self._last_id(conn)
        ahead = max(positions.values())
        if ahead > last:
            raise Unavailable(
                f"outbox {self._schema} is older than what was published from it (last id {last}, published {ahead}):"
                f" after restoring a backup, set the sequence of its id to {ahead}"
            )

    async def _last_id(self, conn: AsyncConnection[Any]) -> int:
        async with conn.cursor(row_factory=scalar_row) as cursor:
            name = "SELECT pg_get_serial_sequence(%s, 'id')::regclass::text"
            sequence = await (await cursor.execute(name, (f'"{self._schema}".outbox',))).fetchone()
            return int(await (await cursor.execute(f"SELECT last_value FROM {sequence}")).fetchone() or 0)

    async def _publish_some(self, conn: AsyncConnection[Any]) -> bool:
        """Publish what waits, up to a bound a lane; return whether more of a lane may wait already.

        Else the next look comes after a pause: a Kafka transaction for every few events costs the broker more than
        the events themselves.
        """
        async with conn.cursor(row_factory=class_row(_Row)) as cursor:
            await cursor.execute(self._sql(_UNPUBLISHED), self._behind() | {"limit": self._options.rows_per_lane})
            rows = await cursor.fetchall()
        if not rows:
            return False
        reached = {row.lane: row.id for row in rows}
        messages = [from_row(r.topic, r.key, r.headers, r.value) for r in rows]
        await self._call(lambda: self._kafka.publish(messages, reached))
        self._positions |= reached
        self._count(rows)
        return max(Tally(row.lane for row in rows).values()) >= self._options.rows_per_lane

    def _count(self, rows: Sequence[_Row]) -> None:
        now = time.time()
        PUBLISHED.labels(self._schema).inc(len(rows))
        for row in rows:
            DELAY.labels(self._schema).observe(max(0.0, now - row.created_at))

    async def _sweep(self, conn: AsyncConnection[Any]) -> None:
        if time.monotonic() - self._swept < self._options.sweep_every:
            return
        await conn.execute(self._sql(_SWEEP), self._behind())
        self._swept = time.monotonic()

    async def _watch(self) -> None:
        """Measure the backlog over a connection of its own, also while the broker is away or another relay leads."""
        while True:
            try:
                async with await self._connect() as conn:
                    while True:
                        await self._measure(conn)
                        await asyncio.sleep(self._options.watch_every)
            except Exception as exc:
                told = None if isinstance(exc, psycopg.OperationalError) else exc
                log.warning("outbox_watch_restarts", outbox=self._schema, error=str(exc), exc_info=told)
                if self._backlog.rows:  # what waited then waits still
                    AGE.labels(self._schema).set(self._backlog.age + time.monotonic() - self._measured_at)
            await asyncio.sleep(self._options.watch_every)

    async def _measure(self, conn: AsyncConnection[Any]) -> None:
        async with conn.cursor(row_factory=class_row(_Backlog)) as cursor:
            await cursor.execute(self._sql(_BACKLOG), self._behind())
            self._backlog = await cursor.fetchone() or _Backlog(0, 0.0)
        self._measured_at = time.monotonic()
        AGE.labels(self._schema).set(self._backlog.age)
        UNPUBLISHED.labels(self._schema).set(self._backlog.rows)

    def _behind(self) -> dict[str, Any]:
        return {"lanes": list(self._positions), "positions": list(self._positions.values())}

    def _sql(self, template: str) -> Composed:
        return SQL(template).format(outbox=Identifier(self._schema, "outbox"))

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _reason(error: Exception) -> str:
    if isinstance(error, Unavailable):
        return "broker"
    return "database" if isinstance(error, psycopg.Error) else "unexpected"
