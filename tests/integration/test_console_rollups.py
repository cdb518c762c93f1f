"""The console's questions against the real tables."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from libs.kernel.errors import Unavailable
from libs.kernel.timewindow import TimeWindow, floor_minute
from libs.storage.clickhouse import ClickHouse
from libs.storage.clickhouse_address import ClickHouseAddress
from services.console.adapters.rollups import Rollups
from services.console.domain.models import Edge

if TYPE_CHECKING:
    from tests.servers import Servers

MINUTE = floor_minute(datetime.now(UTC)) - timedelta(minutes=30)
WINDOW = TimeWindow(MINUTE - timedelta(minutes=5), MINUTE + timedelta(minutes=5))
MS = 1_000_000  # nanoseconds


@pytest.fixture
def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def clickhouse(stack: Servers) -> Iterator[ClickHouse]:
    opened = ClickHouse(stack.clickhouse_url, 2)
    yield opened
    opened.close()


def span(clickhouse: ClickHouse, tenant: str, service: str, kind: str, total: int, errors: int, ms: int) -> None:
    """Put a minute of spans, all of one duration, into the rollups."""
    at = {"tenant": tenant, "service": service, "kind": kind, "at": int(MINUTE.timestamp()), "n": total}
    clickhouse.execute(
        "INSERT INTO error_rate_1m SELECT %(tenant)s, toDateTime(%(at)s), %(service)s, %(kind)s, "
        "toUInt64(%(n)s), toUInt64(%(errors)s), toUInt64(%(sum)s)",
        at | {"errors": errors, "sum": total * ms * MS},
    )
    clickhouse.execute(
        "INSERT INTO latency_p95_1m SELECT %(tenant)s, toDateTime(%(at)s), %(service)s, %(kind)s, "
        "quantilesDDState(0.01, 0.5, 0.95, 0.99)(toUInt64(%(ns)s)) FROM numbers(%(n)s)",
        at | {"ns": ms * MS},
    )


def edge(
    clickhouse: ClickHouse, tenant: str, server: str, calls: int, version: int, client_ms: int,
    at: datetime = MINUTE, client: str = "web", instrumented: int = 0,
) -> None:  # fmt: skip
    """Put a minute of calls into the edges."""
    clickhouse.execute(
        "INSERT INTO service_edges_1m SELECT %(tenant)s, toDateTime(%(at)s), %(who)s, %(server)s, 'database', "
        "toUInt8(%(own)s), toUInt64(%(calls)s), 2, toUInt64(%(client)s), toUInt64(%(ns)s), 0, toUInt64(%(version)s)",
        {
            "tenant": tenant, "at": int(at.timestamp()), "server": server, "calls": calls, "version": version,
            "client": calls * client_ms * MS, "ns": calls * 7 * MS, "who": client, "own": instrumented,
        },
    )  # fmt: skip


def test_health_counts_server_spans_only_and_merges_quantiles(clickhouse: ClickHouse, tenant: str) -> None:
    span(clickhouse, tenant, "api", "Server", 90, 9, 10)
    span(clickhouse, tenant, "api", "Server", 10, 1, 500)
    span(clickhouse, tenant, "api", "Client", 1000, 1000, 9000)
    span(clickhouse, f"{tenant}-other", "api", "Server", 1000, 1000, 9000)
    found = asyncio.run(Rollups(clickhouse).health(tenant, ["api", "db'"], WINDOW))
    assert [(m.minute, m.calls, m.errors) for m in found] == [(MINUTE, 100, 10)]
    assert found[0].latency_ms == pytest.approx(500, rel=0.02)  # 10 of 100 took 500 ms


def test_edges_take_the_latest_version_and_the_clients_time(clickhouse: ClickHouse, tenant: str) -> None:
    edge(clickhouse, tenant, "db", calls=50, version=1, client_ms=3)
    edge(clickhouse, tenant, "db", calls=100, version=2, client_ms=20)
    edge(clickhouse, tenant, "queue", calls=10, version=1, client_ms=0)
    rollups = Rollups(clickhouse)
    found = asyncio.run(rollups.edges(tenant, WINDOW))
    assert found == [
        Edge("web", "db", "database", False, 100, 2, 20.0, 1),
        Edge("web", "queue", "database", False, 10, 2, 7.0, 1),
    ]
    seen = asyncio.run(rollups.health_seen_by_callers(tenant, ["db"], WINDOW))
    assert [(m.minute, m.calls, m.latency_ms, m.seen_by_callers) for m in seen] == [(MINUTE, 100, 20.0, True)]


def test_edges_are_measured_in_the_minutes_their_client_was_heard_in(clickhouse: ClickHouse, tenant: str) -> None:
    for minute in range(3):
        at = MINUTE + timedelta(minutes=minute)
        edge(clickhouse, tenant, "api", 120, 1, 5, at, instrumented=1)
        edge(clickhouse, tenant, "legacy", 60, 1, 5, at)  # is called, and says nothing itself
    edge(clickhouse, tenant, "db", 360, 1, 5, MINUTE, client="api")  # in one minute; api answered in the others
    edge(clickhouse, tenant, "db", 60, 1, 5, MINUTE, client="legacy")
    edge(clickhouse, tenant, "gone", 0, 1, 5, MINUTE + timedelta(minutes=4))  # taken back: not heard in this one
    edge(clickhouse, tenant, "api", 120, 1, 5, MINUTE + timedelta(minutes=5), instrumented=1)  # after the window
    edge(clickhouse, f"{tenant}-other", "api", 120, 1, 5, MINUTE + timedelta(minutes=3), instrumented=1)
    found = asyncio.run(Rollups(clickhouse).edges(tenant, WINDOW))
    assert [(e.client, e.server, e.calls, e.minutes, e.per_second) for e in found] == [
        ("api", "db", 360, 3, 2.0),
        ("legacy", "db", 60, 1, 1.0),
        ("web", "api", 360, 3, 2.0),
        ("web", "legacy", 180, 3, 1.0),
    ]


def test_signatures_come_errors_first_then_by_number(clickhouse: ClickHouse, tenant: str) -> None:
    for number, severity, count in ((1, 9, 900), (2, 17, 5), (3, 13, 40)):
        clickhouse.execute(
            "INSERT INTO log_signatures_1m SELECT %(tenant)s, toDateTime(%(at)s), 'api', %(severity)s, %(number)s, "
            "'shape', 'line', toUInt64(%(count)s), toDateTime64(%(at)s, 9), toDateTime64(%(at)s, 9)",
            {
                "tenant": tenant, "at": int(MINUTE.timestamp()), "severity": severity, "number": number,
                "count": count,
            },
        )  # fmt: skip
    found = asyncio.run(Rollups(clickhouse).signatures(tenant, "api", WINDOW, 2))
    assert [(s.severity_number, s.count, s.first_seen) for s in found] == [(17, 5, MINUTE), (9, 900, MINUTE)]


def test_resources_come_utilization_first_as_the_fullest_instance(clickhouse: ClickHouse, tenant: str) -> None:
    rows = (("memory.usage", "By", 300.0, 3, 90.0, 110.0), ("cpu.utilization", "1", 1.2, 2, 0.3, 0.9),
            ("queue.length", "1", 5.0, 1, 5.0, 5.0))  # fmt: skip
    for metric, unit, total, count, least, most in rows:
        clickhouse.execute(
            "INSERT INTO gauges_1m SELECT %(tenant)s, toDateTime(%(at)s), 'api', %(metric)s, %(unit)s, %(total)s, "
            "%(count)s, %(least)s, %(most)s",
            {
                "tenant": tenant, "at": int(MINUTE.timestamp()), "metric": metric, "unit": unit, "total": total,
                "count": count, "least": least, "most": most,
            },
        )  # fmt: skip
    found = asyncio.run(Rollups(clickhouse).gauges(tenant, "api", WINDOW))
    assert [(g.metric, g.unit, g.minute, g.value) for g in found] == [
        ("cpu.utilization", "1", MINUTE, 0.9),
        ("memory.usage", "By", MINUTE, 100.0),
    ]
    assert asyncio.run(Rollups(clickhouse).gauges(tenant, "other", WINDOW)) == []


def test_services_are_summed_over_the_window(clickhouse: ClickHouse, tenant: str) -> None:
    span(clickhouse, tenant, "api", "Consumer", 20, 5, 40)
    found = asyncio.run(Rollups(clickhouse).services(tenant, WINDOW))
    assert [(s.service, s.calls, s.errors, s.last_seen) for s in found] == [("api", 20, 5, MINUTE)]
    assert found[0].p95_ms == pytest.approx(40, rel=0.02)


def test_what_a_window_does_not_cover_is_not_counted(clickhouse: ClickHouse, tenant: str) -> None:
    span(clickhouse, tenant, "api", "Server", 20, 5, 40)
    later = TimeWindow(MINUTE + timedelta(minutes=1), MINUTE + timedelta(minutes=9))
    assert asyncio.run(Rollups(clickhouse).health(tenant, ["api"], later)) == []


def test_nobody_called_anybody_before_1970(clickhouse: ClickHouse, tenant: str) -> None:
    edge(clickhouse, tenant, "db", calls=50, version=1, client_ms=3)
    epoch = datetime.fromtimestamp(0, UTC)
    assert asyncio.run(Rollups(clickhouse).edges(tenant, TimeWindow(epoch - timedelta(days=1), epoch))) == []


def test_a_silent_server_and_a_missing_table_are_both_unavailable(stack: Servers) -> None:
    gone = ClickHouse("clickhouse://default@127.0.0.1:1/incidentscope", 1)
    with pytest.raises(Unavailable):
        asyncio.run(Rollups(gone).edges("t", WINDOW))
    elsewhere = ClickHouse(ClickHouseAddress.parse(stack.clickhouse_url).of("default"), 1)
    with pytest.raises(Unavailable, match="cannot be read"):
        asyncio.run(Rollups(elsewhere).edges("t", WINDOW))
    gone.close()
    elsewhere.close()
