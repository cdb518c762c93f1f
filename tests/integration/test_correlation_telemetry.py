"""What correlation_engine reads of log signatures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.adapters.telemetry import ClickHouseTelemetry
from services.correlation_engine.domain.model import Grid, LogSignature, Telemetry
from tests.integration.alert_world import unique
from tests.integration.correlation_world import insert

MINUTES, ONSET = 90, 87


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


def load(clickhouse: ClickHouse, *signatures: LogSignature) -> dict[str, LogSignature]:
    """Write signatures to the rollup and return by text what the engine reads of them."""
    tenant, grid = unique("t"), grid_now()
    insert(clickhouse, tenant, Telemetry(grid, signatures=signatures))
    telemetry = asyncio.run(ClickHouseTelemetry(clickhouse).load(tenant, grid.start, grid.end))
    assert len({s.signature for s in telemetry.signatures}) == len(telemetry.signatures)
    return {s.signature: s for s in telemetry.signatures}


def grid_now() -> Grid:
    """Return the last 90 minutes."""
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    return Grid(end - timedelta(minutes=MINUTES), end)


def logged(text: str, before: float, during: float, severity: int) -> LogSignature:
    """Return a signature with one rate before the onset and another after it."""
    counts = np.full(MINUTES, float(before))
    counts[ONSET:] = during
    return LogSignature("app", severity, text, f"example of {text}", counts)


def test_what_may_be_evidence_is_read_and_the_rest_is_not(clickhouse: ClickHouse) -> None:
    found = load(
        clickhouse,
        logged("new error", 0, 5, 17),
        logged("steady error", 3, 3, 17),
        logged("error of long ago", 0, 0, 17),
        logged("unstated", 2, 2, 0),
        logged("info that stopped", 20, 0, 9),
        logged("steady info", 20, 20, 9),
        logged("new info", 0, 20, 9),
    )

    assert set(found) == {"new error", "steady error", "unstated", "info that stopped"}


def test_counts_texts_and_first_sights_are_those_of_the_rollup(clickhouse: ClickHouse) -> None:
    error, info = logged("new error", 0, 5, 17), logged("info that stopped", 20, 0, 9)

    found = load(clickhouse, error, info)

    for written in (error, info):
        read = found[written.signature]
        assert np.array_equal(read.counts, written.counts)
        assert (read.service, read.severity, read.example) == ("app", written.severity, written.example)
    start = grid_now().start
    first_seen = [found[s].first_seen for s in ("info that stopped", "new error")]
    for seen, expected in zip(first_seen, (start, start + timedelta(minutes=ONSET)), strict=True):
        assert seen is not None
        assert abs(seen - expected) <= timedelta(minutes=1)  # the clock may have moved on


def test_the_environments_are_those_that_the_services_name_themselves(clickhouse: ClickHouse) -> None:
    tenant, at = unique("t"), datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)

    def sent(table: str, time: str, rows: list[tuple[str, dict[str, str], str]]) -> None:
        columns = ("TenantId", time, "ServiceName", "ResourceAttributes")
        extra = ("StatusCode",) if table == "spans_raw" else ()
        values = [(tenant, at, name, where, *([status] if extra else [])) for name, where, status in rows]
        clickhouse.insert_rows(table, (*columns, *extra), values)

    new, old = "deployment.environment.name", "deployment.environment"
    sent("spans_raw", "Timestamp", [("front", {new: "production"}, "Error"), ("front", {old: "staging"}, "Ok"),
                                    ("front", {}, "Error"), ("other", {new: "dev"}, "Error")])  # fmt: skip
    sent("logs_raw", "Timestamp", [("queue", {old: "eu"}, "")])
    sent("metrics_timeseries", "TimeUnix", [("node", {new: "us"}, "")])

    def environments(*services: str, late: timedelta = timedelta()) -> tuple[str, ...]:
        start = at - timedelta(minutes=1) + late
        asked = ClickHouseTelemetry(clickhouse).environments(tenant, services, start, start + timedelta(minutes=5))
        return asyncio.run(asked)

    assert environments("front") == ("production",)
    assert environments("queue", "node") == ("eu", "us")
    assert environments("absent") == ()
    assert environments() == ()
    assert environments("front", late=timedelta(minutes=2)) == ()
    assert environments("it's") == ()
