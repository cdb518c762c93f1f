"""The one-minute rollups from ClickHouse, one row per series with its minutes as arrays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.adapters import transitions
from services.correlation_engine.domain.environments import of_records
from services.correlation_engine.domain.model import (
    Edge,
    FloatArray,
    Gauge,
    Grid,
    LogSignature,
    ServiceSeries,
    Telemetry,
)
from services.correlation_engine.domain.saturation import RESOURCE

Row = tuple[Any, ...]
NS_PER_MS = 1e6
RECENT = timedelta(minutes=50)  # of the range: a signature silent in the rest of it cannot be new or spiking
TAIL = 2  # steps, the last of them begun only: a message logged less there than usual in half a step may be gone
MAX_SIGNATURES = 5000

_RANGE = "TenantId = %(tenant)s AND Minute >= toDateTime(%(start)s) AND Minute < toDateTime(%(end)s)"
_STEP = "toUInt32(intDiv(toUnixTimestamp(Minute) - %(start)s, 60))"

REQUESTS = f"""
SELECT ServiceName, groupArray(Step), groupArray(Requests), groupArray(Failed), groupArray(Ns)
FROM (
    SELECT ServiceName, {_STEP} AS Step, sum(Total) AS Requests, sum(Errors) AS Failed, sum(DurationSum) AS Ns
    FROM error_rate_1m WHERE {_RANGE} AND SpanKind IN ('Server', 'Consumer') AND ServiceName != ''
    GROUP BY ServiceName, Step
) GROUP BY ServiceName"""

LATENCY = f"""
SELECT ServiceName, groupArray(Step), groupArray(P95)
FROM (
    SELECT ServiceName, {_STEP} AS Step, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(Latency)[2] AS P95
    FROM latency_p95_1m WHERE {_RANGE} AND SpanKind IN ('Server', 'Consumer') AND ServiceName != ''
    GROUP BY ServiceName, Step
) GROUP BY ServiceName"""

# Rows of one minute are added up here, by numpy: a second grouping by minute costs the server most of such a query.
EDGES = f"""
SELECT Client, Server, any(ConnectionType), max(ServerInstrumented), groupArray({_STEP}), groupArray(Calls),
    groupArray(Errors), groupArray(ClientDurationSum), groupArray(ServerDurationSum), groupArray(Unpaired)
FROM service_edges_1m FINAL WHERE {_RANGE} AND Client != '' AND Server != '' AND Calls > 0
GROUP BY Client, Server"""

_SIGNATURE = f"""
SELECT ServiceName, max(SeverityNumber), any(Signature), any(Example), toUnixTimestamp64Milli(min(FirstSeen)),
    groupArray({_STEP} AS Step), groupArray(Count)
FROM log_signatures_1m WHERE {_RANGE}"""
_RECENT = "sumIf(Count, Step >= %(recent)s)"

SIGNATURES = f"""{_SIGNATURE} AND (SeverityNumber >= 13 OR SeverityNumber = 0) AND ServiceName != ''
GROUP BY ServiceName, SignatureHash HAVING {_RECENT} > 0
ORDER BY max(SeverityNumber) > 0 DESC, {_RECENT} DESC LIMIT {MAX_SIGNATURES}"""

# Below warnings only what was steady and ends in the last minutes can matter: texts are read for that alone
VANISHED = f"""{_SIGNATURE} AND SeverityNumber BETWEEN 1 AND 12 AND (ServiceName, SignatureHash) IN (
    SELECT ServiceName, SignatureHash FROM log_signatures_1m
    WHERE {_RANGE} AND SeverityNumber BETWEEN 1 AND 12 AND ServiceName != ''
    GROUP BY ServiceName, SignatureHash
    HAVING count() >= %(steady)s AND 2 * sumIf(Count, Minute >= toDateTime(%(tail)s)) * %(steps)s < sum(Count)
    ORDER BY sum(Count) DESC LIMIT {MAX_SIGNATURES}
)
GROUP BY ServiceName, SignatureHash"""

# A share of a limit is judged by its fullest member and moment, other levels by their mean.
GAUGES = f"""
SELECT ServiceName, MetricName, any(Unit), groupArray(Step), groupArray(Level)
FROM (
    SELECT ServiceName, MetricName, {_STEP} AS Step, any(MetricUnit) AS Unit,
        if(match(MetricName, 'utili[sz]ation$'), max(ValueMax), sum(ValueSum) / sum(ValueCount)) AS Level
    FROM gauges_1m WHERE {_RANGE} AND match(MetricName, %(resource)s) AND ServiceName != ''
    GROUP BY ServiceName, MetricName, Step
) GROUP BY ServiceName, MetricName"""

# What the services themselves say of where they run, from some of their records: an outage needs no more.
_OWN = """
    SELECT ResourceAttributes['deployment.environment.name'] AS Named, {failed} AS Failed,
        if(Named != '', Named, ResourceAttributes['deployment.environment']) AS Environment
    FROM {table} WHERE TenantId = %(tenant)s AND ServiceName IN %(services)s
        AND {time} >= toDateTime64(%(start)s, 9) AND {time} < toDateTime64(%(end)s, 9)
    LIMIT %(most)s"""
ENVIRONMENTS = f"""
SELECT Environment, count(), countIf(Failed) FROM (
    ({_OWN.format(table="spans_raw", time="Timestamp", failed="StatusCode = 'Error'")}) UNION ALL
    ({_OWN.format(table="logs_raw", time="Timestamp", failed="0")}) UNION ALL
    ({_OWN.format(table="metrics_timeseries", time="TimeUnix", failed="0")})
) WHERE Environment != '' GROUP BY Environment ORDER BY Environment"""
MOST_RECORDS = 10_000  # of each kind


class ClickHouseTelemetry:
    """Implements ports.TelemetryStore."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def load(self, tenant: str, start: datetime, end: datetime, hurried: bool = False) -> Telemetry:
        """Return all of a tenant's telemetry of a time, deploys excepted; raises Unavailable.

        Hurried, it leaves out what takes long to read: the order of log lines, where there are many.
        """
        grid = Grid(start, end)
        params = {
            "tenant": tenant,
            "start": int(start.timestamp()),
            "end": int(start.timestamp()) + 60 * grid.length,
            "recent": max(0, grid.length - RECENT // grid.step),
            "tail": int(start.timestamp()) + 60 * (grid.length - TAIL),
            "steps": grid.length,
            "steady": grid.length // 2,
            "resource": RESOURCE.pattern,
        }
        queries = (REQUESTS, LATENCY, EDGES, SIGNATURES, VANISHED, GAUGES)
        (requests, latency, edges, signatures, vanished, gauges), following = await asyncio.gather(
            asyncio.gather(*(asyncio.to_thread(self._clickhouse.query, sql, params) for sql in queries)),
            asyncio.to_thread(transitions.load, self._clickhouse, tenant, grid, hurried),
        )
        services = _services(requests, latency, grid)
        return Telemetry(
            grid=grid,
            services=services,
            edges=tuple(_edge(row, grid) for row in edges),
            signatures=tuple(_signature(row, grid) for row in signatures + vanished),
            gauges=tuple(_gauge(row, grid) for row in gauges),
            transitions=(*following.between, *transitions.logging(following, services)),
        )

    async def environments(
        self, tenant: str, services: Sequence[str], start: datetime, end: datetime
    ) -> tuple[str, ...]:
        """Return the environments that services name in what they sent in a time; raises Unavailable."""
        if not services:
            return ()
        params = {
            "tenant": tenant, "services": tuple(services), "most": MOST_RECORDS,
            "start": int(start.timestamp()), "end": int(end.timestamp()) + 1,
        }  # fmt: skip
        return of_records(await asyncio.to_thread(self._clickhouse.query, ENVIRONMENTS, params))


def _filler(steps: Sequence[int], grid: Grid) -> Callable[..., FloatArray]:
    """Return a function that lays values out over the grid, with a value for the minutes without any.

    Without a value for those, they have none of it: values of one minute are added up.
    """
    places = np.asarray(steps, dtype=np.intp)

    def fill(values: Sequence[float], missing: float | None = None) -> FloatArray:
        if missing is None:
            return np.bincount(places, values, grid.length).astype(np.float64, copy=False)
        laid = np.full(grid.length, missing)
        laid[places] = values
        return laid

    return fill


def _services(requests: list[Row], latency: list[Row], grid: Grid) -> tuple[ServiceSeries, ...]:
    p95 = {name: _filler(steps, grid)(values, np.nan) / NS_PER_MS for name, steps, values in latency}
    unknown = np.full(grid.length, np.nan)
    found = []
    for name, steps, total, failed, ns in requests:
        fill = _filler(steps, grid)
        series = (fill(total), fill(failed), fill(ns) / NS_PER_MS)
        found.append(ServiceSeries(name, *series, p95.get(name, unknown)))
    return tuple(found)


def _edge(row: Row, grid: Grid) -> Edge:
    client, server, kind, known, steps, made, failed, client_ns, server_ns, alone = row
    fill = _filler(steps, grid)
    return Edge(
        client, server, kind, bool(known), fill(made), fill(failed),
        fill(client_ns) / NS_PER_MS, fill(server_ns) / NS_PER_MS, fill(alone),
    )  # fmt: skip


def _signature(row: Row, grid: Grid) -> LogSignature:
    service, severity, text, sample, first_seen, steps, lines = row
    counts = _filler(steps, grid)(lines)
    return LogSignature(
        service, int(severity), text, sample, counts, first_seen=datetime.fromtimestamp(first_seen / 1000, UTC)
    )


def _gauge(row: Row, grid: Grid) -> Gauge:
    service, metric, unit, steps, levels = row
    return Gauge(service, metric, unit, _filler(steps, grid)(levels, np.nan))
