"""Half-edges and edges in ClickHouse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from libs.storage.clickhouse import ClickHouse
from services.trace_consumer.domain import EdgeCounts, EdgeKey, Stretch, TenantMinute

# Times cross the driver as Unix numbers, so that neither side's time zone matters.

TOUCHED = """
WITH fresh AS
(
    SELECT TenantId, Minute, TraceId, ClientSpanId, Side
    FROM service_half_edges
    WHERE IngestedAt >= fromUnixTimestamp64Milli(toInt64(%(since)s))
)
SELECT TenantId, toUnixTimestamp(Minute) FROM fresh
UNION DISTINCT
SELECT TenantId, toUnixTimestamp(Minute)
FROM service_half_edges
WHERE Side = 'client'
    AND Minute >= (SELECT min(Minute) - INTERVAL 1 HOUR FROM fresh)
    AND (TenantId, TraceId, ClientSpanId) IN (SELECT TenantId, TraceId, ClientSpanId FROM fresh WHERE Side = 'server')
"""

# A call is its client half, if there is one, and its server halves. The server may start a little before its client
# (clock skew) or up to an hour after it (a queue in between). Client spans around other client spans of the call
# (an SDK over HTTP) are not calls of their own. A sampled call counts as many times as it stands for.
COMPUTE = """
WITH
    fromUnixTimestamp64Milli(toInt64(%(settled_before)s)) AS SettledBefore,
    halves AS
    (
        SELECT
            TraceId, ClientSpanId, ParentSpanId, Side,
            (Minute, ServiceName, PeerName, ConnectionType, Duration, IsError, IngestedAt, Weight) AS Half
        FROM service_half_edges FINAL
        WHERE TenantId = %(tenant)s
            AND Minute >= toDateTime(%(first)s) - INTERVAL 5 MINUTE AND Minute <= toDateTime(%(last)s) + INTERVAL 1 HOUR
    ),
    calls AS
    (
        SELECT
            TraceId,
            ClientSpanId,
            groupArrayIf(1)(Half, Side = 'client') AS Clients,
            groupArrayIf(Half, Side = 'server') AS Servers
        FROM halves
        GROUP BY TraceId, ClientSpanId
    ),
    wrappers AS (SELECT TraceId, ParentSpanId FROM halves WHERE Side = 'client' AND ParentSpanId != '')
SELECT
    toUnixTimestamp(Edge.1), Edge.2 AS Client, Edge.3 AS Server, Edge.4, Edge.5,
    toUInt64(round(sum(Edge.10))) AS Calls, toUInt64(round(sum(Edge.6 * Edge.10))),
    toUInt64(round(sum(Edge.7 * Edge.10))), toUInt64(round(sum(Edge.8 * Edge.10))),
    toUInt64(round(sum(Edge.9 * Edge.10)))
FROM
(
    SELECT arrayJoin(multiIf(
        notEmpty(Clients) AND notEmpty(Servers),
        arrayMap(s -> (c.1, c.2, s.2, if(c.4 != '', c.4, s.4), 1, c.6, c.5, s.5, 0, c.8), Servers),
        notEmpty(Clients),
        if(
            c.3 != '' AND (c.4 = 'database' OR c.7 < SettledBefore)
                AND (TraceId, ClientSpanId) NOT IN (SELECT TraceId, ParentSpanId FROM wrappers),
            [(c.1, c.2, c.3, c.4, 0, c.6, c.5, 0, 1, c.8)],
            []
        ),
        arrayMap(
            s -> (s.1, s.3, s.2, s.4, 1, s.6, 0, s.5, 1, s.8),
            arrayFilter(s -> s.3 != '' AND s.7 < SettledBefore, Servers)
        )
    )) AS Edge
    FROM (SELECT TraceId, ClientSpanId, Clients, Clients[1] AS c, Servers FROM calls)
)
WHERE toUnixTimestamp(Edge.1) IN %(minutes)s
GROUP BY Edge.1, Client, Server, Edge.4, Edge.5
HAVING Calls > 0
"""

KNOWN = """
SELECT
    toUnixTimestamp(Minute), Client, Server, ConnectionType, ServerInstrumented,
    Calls, Errors, ClientDurationSum, ServerDurationSum, Unpaired
FROM service_edges_1m FINAL
WHERE TenantId = %(tenant)s AND Minute >= toDateTime(%(first)s) AND Minute <= toDateTime(%(last)s)
    AND toUnixTimestamp(Minute) IN %(minutes)s
"""

COLUMNS = (
    "TenantId", "Minute", "Client", "Server", "ConnectionType", "ServerInstrumented",
    "Calls", "Errors", "ClientDurationSum", "ServerDurationSum", "Unpaired", "Version",
)  # fmt: skip


class ClickHouseEdges:
    """The edge store over ClickHouse. Raises Unavailable and Refused as the pool does."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def now(self) -> datetime:
        """Return the server's time."""
        ((now_ms,),) = self._clickhouse.query("SELECT toUnixTimestamp64Milli(now64(3))")
        return _instant_ms(now_ms)

    def last_written(self) -> datetime | None:
        """Return when edges were last written, None when never."""
        ((version,),) = self._clickhouse.query("SELECT max(Version) FROM service_edges_1m")
        return _instant_ms(version) if version else None

    def touched_since(self, since: datetime | None) -> list[TenantMinute]:
        """Return the minutes whose edges may differ because of half-edges stored since then (None: ever)."""
        rows = self._clickhouse.query(TOUCHED, {"since": _ms(since) if since else 0})
        return [TenantMinute(tenant, _instant(minute)) for tenant, minute in rows]

    def compute(self, stretch: Stretch, settled_before: datetime) -> dict[EdgeKey, EdgeCounts]:
        """Return the edges of the minutes; a half without its other half counts once stored before that time."""
        rows = self._clickhouse.query(COMPUTE, {**_bounds(stretch), "settled_before": _ms(settled_before)})
        return dict(map(_edge, rows))

    def known(self, stretch: Stretch) -> dict[EdgeKey, EdgeCounts]:
        """Return the edges as last written."""
        return dict(map(_edge, self._clickhouse.query(KNOWN, _bounds(stretch))))

    def write(self, tenant: str, rows: Mapping[EdgeKey, EdgeCounts], version: datetime) -> None:
        """Write edges; a later version replaces an earlier one."""
        values = [
            (
                tenant,
                key.minute,
                key.client,
                key.server,
                key.connection_type,
                int(key.instrumented),
                *counts,
                _ms(version),
            )
            for key, counts in rows.items()
        ]
        self._clickhouse.insert_rows("service_edges_1m", COLUMNS, values)


def _bounds(stretch: Stretch) -> dict[str, Any]:
    minutes = tuple(int(minute.timestamp()) for minute in stretch.minutes)
    return {"tenant": stretch.tenant, "first": minutes[0], "last": minutes[-1], "minutes": minutes}


def _edge(row: tuple[Any, ...]) -> tuple[EdgeKey, EdgeCounts]:
    minute, client, server, connection_type, instrumented, *counts = row
    return EdgeKey(_instant(minute), client, server, connection_type, bool(instrumented)), EdgeCounts(*counts)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _instant_ms(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
