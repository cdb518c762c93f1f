"""The one-minute rollups in ClickHouse. Counts are summed and quantile states merged, percentiles never averaged."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from libs.kernel.errors import InvalidInput, Unavailable
from libs.kernel.timewindow import TimeWindow, floor_minute
from libs.storage.clickhouse import ClickHouse
from services.console.domain.models import Edge, GaugeMinute, LogSignature, MinuteHealth, ServiceSummary

_IN_WINDOW = "TenantId = %(tenant)s AND Minute >= toDateTime(%(start)s) AND Minute < toDateTime(%(end)s)"
_SERVED = "SpanKind IN ('Server', 'Consumer')"
_P95 = "quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(Latency)[2] / 1e6"
# Client spans time the whole wait; where only the server's half arrived, its own time is all there is.
_MEAN = "if(sum(ClientDurationSum) > 0, sum(ClientDurationSum), sum(ServerDurationSum)) / 1e6 / sum(Calls)"

_COUNTS = f"""
SELECT ServiceName, toUnixTimestamp(Minute) AS at, sum(Total), sum(Errors)
FROM error_rate_1m WHERE {_IN_WINDOW} AND ServiceName IN %(services)s AND {_SERVED}
GROUP BY ServiceName, Minute ORDER BY Minute, ServiceName"""
_LATENCIES = f"""
SELECT ServiceName, toUnixTimestamp(Minute) AS at, {_P95}
FROM latency_p95_1m WHERE {_IN_WINDOW} AND ServiceName IN %(services)s AND {_SERVED}
GROUP BY ServiceName, Minute"""
_BY_CALLERS = f"""
SELECT Server, toUnixTimestamp(Minute) AS at, sum(Calls), sum(Errors), {_MEAN}
FROM service_edges_1m FINAL WHERE {_IN_WINDOW} AND Server IN %(services)s
GROUP BY Server, Minute HAVING sum(Calls) > 0 ORDER BY Minute, Server"""
# A client is heard in the minutes in which it calls anybody or answers: in others its calls are unknown, not absent.
_EDGES = f"""
WITH heard AS (
    SELECT arrayJoin(if(ServerInstrumented = 1, [Client, Server], [Client])) AS Service, uniqExact(Minute) AS Minutes
    FROM service_edges_1m FINAL WHERE {_IN_WINDOW} AND Calls > 0 GROUP BY Service)
SELECT Client, Server, any(ConnectionType), max(ServerInstrumented), sum(Calls), sum(Errors), {_MEAN}, any(Minutes)
FROM service_edges_1m AS edges FINAL INNER JOIN heard ON edges.Client = heard.Service
WHERE {_IN_WINDOW} AND Calls > 0
GROUP BY Client, Server ORDER BY Client, Server"""
_SIGNATURES = f"""
SELECT SeverityNumber, any(Signature), any(Example), sum(Count) AS lines,
    toUnixTimestamp64Milli(min(FirstSeen)), toUnixTimestamp64Milli(max(LastSeen))
FROM log_signatures_1m WHERE {_IN_WINDOW} AND ServiceName = %(service)s
GROUP BY SeverityNumber, SignatureHash ORDER BY SeverityNumber >= 17 DESC, lines DESC LIMIT %(limit)s"""
# A share of a limit is that of the fullest instance, other levels are their mean.
_GAUGES = f"""
SELECT MetricName, any(MetricUnit), toUnixTimestamp(Minute) AS at,
    if(match(MetricName, 'utili[sz]ation$'), max(ValueMax), sum(ValueSum) / sum(ValueCount))
FROM gauges_1m WHERE {_IN_WINDOW} AND ServiceName = %(service)s AND MetricName IN (
    SELECT MetricName FROM gauges_1m
    WHERE {_IN_WINDOW} AND ServiceName = %(service)s AND match(MetricName, %(resource)s)
    GROUP BY MetricName ORDER BY match(MetricName, 'utili[sz]ation$') DESC, MetricName LIMIT %(limit)s)
GROUP BY MetricName, Minute ORDER BY match(MetricName, 'utili[sz]ation$') DESC, MetricName, at"""
RESOURCE = "cpu|memory|filesystem|disk|utili[sz]ation|usage|open_fds|file_descriptor|threads|connections"
MAX_RESOURCES = 9
_SERVICES = f"""
SELECT ServiceName, sum(Total), sum(Errors), toUnixTimestamp(max(Minute))
FROM error_rate_1m WHERE {_IN_WINDOW} AND {_SERVED} GROUP BY ServiceName ORDER BY ServiceName"""
_SERVICE_LATENCIES = f"""
SELECT ServiceName, {_P95} FROM latency_p95_1m WHERE {_IN_WINDOW} AND {_SERVED} GROUP BY ServiceName"""


class Rollups:
    """Reads the rollups; implements ports.Telemetry."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def health(self, tenant: str, services: Sequence[str], window: TimeWindow) -> list[MinuteHealth]:
        """Return the minutes of services as their own spans tell them, in order of time."""
        bound = _bound(tenant, window, services=tuple(services))
        counts, latencies = await asyncio.gather(self._read(_COUNTS, bound), self._read(_LATENCIES, bound))
        p95 = {(service, at): value for service, at, value in latencies}
        return [
            MinuteHealth(service, _second(at), calls, errors, p95.get((service, at)))
            for service, at, calls, errors in counts
        ]

    async def health_seen_by_callers(
        self, tenant: str, services: Sequence[str], window: TimeWindow
    ) -> list[MinuteHealth]:
        """Return the minutes of services as their callers saw them."""
        rows = await self._read(_BY_CALLERS, _bound(tenant, window, services=tuple(services)))
        return [MinuteHealth(s, _second(at), calls, errors, mean, True) for s, at, calls, errors, mean in rows]

    async def edges(self, tenant: str, window: TimeWindow) -> list[Edge]:
        """Return who called whom over a window."""
        rows = await self._read(_EDGES, _bound(tenant, window))
        return [Edge(c, s, kind, bool(own), *measured) for c, s, kind, own, *measured in rows]

    async def signatures(self, tenant: str, service: str, window: TimeWindow, limit: int) -> list[LogSignature]:
        """Return a service's log shapes, errors first, then the most frequent."""
        rows = await self._read(_SIGNATURES, _bound(tenant, window, service=service, limit=limit))
        return [
            LogSignature(number, signature, example, count, _second(first / 1000), _second(last / 1000))
            for number, signature, example, count, first, last in rows
        ]

    async def gauges(self, tenant: str, service: str, window: TimeWindow) -> list[GaugeMinute]:
        """Return how much a service used of its resources, utilization first, each in order of time."""
        bound = _bound(tenant, window, service=service, resource=RESOURCE, limit=MAX_RESOURCES)
        return [GaugeMinute(m, unit, _second(at), value) for m, unit, at, value in await self._read(_GAUGES, bound)]

    async def services(self, tenant: str, window: TimeWindow) -> list[ServiceSummary]:
        """Return every service with calls in a window, by name."""
        bound = _bound(tenant, window)
        counts, latencies = await asyncio.gather(self._read(_SERVICES, bound), self._read(_SERVICE_LATENCIES, bound))
        p95 = dict(latencies)
        return [ServiceSummary(s, calls, errors, p95.get(s), _second(at)) for s, calls, errors, at in counts]

    async def _read(self, sql: str, bound: Mapping[str, Any]) -> list[Any]:
        try:
            return await asyncio.to_thread(self._clickhouse.query, sql, bound)
        except InvalidInput as exc:  # a refused question is no fault of the reader: a table is missing or too old
            raise Unavailable(f"The telemetry tables cannot be read: {exc}") from exc


def _bound(tenant: str, window: TimeWindow, **more: Any) -> dict[str, Any]:
    start = int(floor_minute(window.start).timestamp())
    return {"tenant": tenant, "start": start, "end": int(window.end.timestamp()), **more}


def _second(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)
