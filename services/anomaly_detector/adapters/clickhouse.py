"""The one-minute rollups in ClickHouse."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from libs.storage.clickhouse import ClickHouse
from services.anomaly_detector.domain.baseline import Traffic
from services.anomaly_detector.domain.drop import Requests
from services.anomaly_detector.ports import Target

# A service is as healthy as what it answers: its server and consumer spans, not the calls it makes.
ANSWERED = "TenantId IN %(tenants)s AND Minute >= toDateTime(%(start)s) AND SpanKind IN ('Server', 'Consumer')"
P95_MS = "quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(Latency)[2] / 1e6"
SINCE = f"""
    SELECT TenantId, ServiceName, Requests, Failed, P95
    FROM (SELECT TenantId, ServiceName, sum(Total) AS Requests, sum(Errors) AS Failed
          FROM error_rate_1m WHERE {ANSWERED} GROUP BY TenantId, ServiceName) AS counts
    INNER JOIN (SELECT TenantId, ServiceName, {P95_MS} AS P95
          FROM latency_p95_1m WHERE {ANSWERED} GROUP BY TenantId, ServiceName) AS latencies
    USING (TenantId, ServiceName)
"""
MINUTES = f"""
    SELECT TenantId, ServiceName, Requests, Failed, P95
    FROM (SELECT TenantId, ServiceName, Minute, sum(Total) AS Requests, sum(Errors) AS Failed
          FROM error_rate_1m WHERE {ANSWERED} AND Minute < toDateTime(%(end)s)
          GROUP BY TenantId, ServiceName, Minute) AS counts
    INNER JOIN (SELECT TenantId, ServiceName, Minute, {P95_MS} AS P95
          FROM latency_p95_1m WHERE {ANSWERED} AND Minute < toDateTime(%(end)s)
          GROUP BY TenantId, ServiceName, Minute) AS latencies
    USING (TenantId, ServiceName, Minute)
    ORDER BY Minute
"""
REQUESTS = """
    SELECT TenantId, ServiceName, intDiv(toUnixTimestamp(Minute), 60) AS At,
        sumIf(Total, SpanKind IN ('Server', 'Consumer')) AS Requests
    FROM error_rate_1m
    WHERE TenantId IN %(tenants)s AND Minute >= toDateTime(%(start)s) AND Minute < toDateTime(%(end)s)
    GROUP BY TenantId, ServiceName, At
"""


class ClickHouseRollups:
    """Requests that services answered, by minute."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def since(self, tenants: Collection[str], start: datetime) -> Mapping[Target, Traffic]:
        """Return all traffic from a minute on, up to now; raises Unavailable."""
        rows = await self._query(SINCE, tenants, start=int(start.timestamp()))
        return {Target(tenant, service): _traffic(*counts) for tenant, service, *counts in rows}

    async def minutes(
        self, tenants: Collection[str], start: datetime, end: datetime
    ) -> Mapping[Target, Sequence[Traffic]]:
        """Return the traffic of each minute from `start` to before `end`, minutes without traffic left out."""
        rows = await self._query(MINUTES, tenants, start=int(start.timestamp()), end=int(end.timestamp()))
        found: dict[Target, list[Traffic]] = {}
        for tenant, service, *counts in rows:
            found.setdefault(Target(tenant, service), []).append(_traffic(*counts))
        return found

    async def requests(self, tenants: Collection[str], start: datetime, end: datetime) -> Mapping[str, Requests]:
        """Return the requests of each service in each minute from `start` to before `end`, by tenant."""
        rows = await self._query(REQUESTS, tenants, start=int(start.timestamp()), end=int(end.timestamp()))
        counts: dict[str, dict[str, dict[int, int]]] = {}
        for tenant, service, minute, requests in rows:
            counts.setdefault(tenant, {}).setdefault(service, {})[minute] = requests
        return {
            tenant: Requests(frozenset(m for found in services.values() for m in found), services)
            for tenant, services in counts.items()
        }

    async def _query(self, sql: str, tenants: Collection[str], **params: int) -> list[tuple[Any, ...]]:
        return await asyncio.to_thread(self._clickhouse.query, sql, {"tenants": tuple(sorted(tenants)), **params})


def _traffic(requests: int, errors: int, p95_ms: float) -> Traffic:
    return Traffic(int(requests), int(errors), float(p95_ms))
