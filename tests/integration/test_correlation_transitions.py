"""What correlation_engine reads of the order of log lines within spans."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.adapters import transitions
from services.correlation_engine.domain.model import Grid, ServiceSeries
from tests.integration.alert_world import unique

COLUMNS = ("TenantId", "Timestamp", "TraceId", "SpanId", "ServiceName", "SeverityNumber", "Body")
MINUTES = 6


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


def grid_now() -> Grid:
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    return Grid(end - timedelta(minutes=MINUTES), end)


def span(tenant: str, at: datetime, *lines: str) -> list[tuple[Any, ...]]:
    """Return the rows of one span that logs some lines, last first."""
    trace, name = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    rows = [
        (tenant, at + timedelta(milliseconds=i), trace, name, "app", 9, line) for i, line in enumerate(lines, start=1)
    ]
    return rows[::-1]


def test_statements_are_followed_through_each_span(clickhouse: ClickHouse) -> None:
    tenant, grid = unique("t"), grid_now()
    rows = []
    for minute in range(MINUTES):
        at = grid.instant(minute)
        rows += span(tenant, at, "12:00 INFO a.Shop#10 order 77", "12:00 INFO a.Shop#20 paid", "sent 5 mails")
        if minute >= 4:
            rows += span(tenant, at, "12:00 INFO a.Shop#10 order 78")
    clickhouse.insert_rows("logs_raw", COLUMNS, rows)

    found = transitions.load(clickhouse, tenant, grid)

    seen = {(t.signature, t.following): t for t in found.between}
    assert set(seen) == {
        ("a.Shop#10", "a.Shop#20"), ("a.Shop#20", "sent <*> mails"), ("sent <*> mails", ""), ("a.Shop#10", ""),
    }  # fmt: skip
    assert seen["a.Shop#10", "a.Shop#20"].followed.tolist() == [1] * 6
    assert seen["a.Shop#10", "a.Shop#20"].ran.tolist() == [1, 1, 1, 1, 2, 2]
    assert seen["a.Shop#10", ""].followed.tolist() == [0, 0, 0, 0, 1, 1]
    assert found.logging["app"].tolist() == [1, 1, 1, 1, 2, 2]


def test_requests_are_set_beside_the_spans_that_log(clickhouse: ClickHouse) -> None:
    tenant, grid = unique("t"), grid_now()
    clickhouse.insert_rows("logs_raw", COLUMNS, span(tenant, grid.instant(2), "hello"))
    five = np.full(grid.length, 5.0)
    quiet = ServiceSeries("silent", five, five, five, five)

    found = transitions.load(clickhouse, tenant, grid)
    logging = list(transitions.logging(found, [ServiceSeries("app", five, five, five, five), quiet]))

    assert [(t.service, t.signature, t.following) for t in logging] == [("app", "", "")]
    assert logging[0].ran.tolist() == [5] * 6
    assert logging[0].followed.tolist() == [0, 0, 1, 0, 0, 0]


def test_without_logs_nothing_is_read(clickhouse: ClickHouse) -> None:
    assert transitions.load(clickhouse, unique("t"), grid_now()) == transitions.Following((), {})


def test_of_many_lines_none_are_read_when_an_answer_is_awaited(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, grid = unique("t"), grid_now()
    clickhouse.insert_rows("logs_raw", COLUMNS, span(tenant, grid.instant(2), "one", "two", "three"))

    assert transitions.load(clickhouse, tenant, grid, hurried=True).between
    monkeypatch.setattr(transitions, "AT_ONCE", 2)
    assert transitions.load(clickhouse, tenant, grid, hurried=True) == transitions.Following((), {})
    assert transitions.load(clickhouse, tenant, grid).between
