"""Retention on the real tables: a tenant of a short time and one of a long time beside one of the default."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from libs.access.admin import create_tenant
from libs.storage.clickhouse import ClickHouse
from libs.storage.retention import TABLES, Kept, Retention
from tests.integration.alert_world import unique, write_tenants

TODAY = datetime.now(UTC).date()


@pytest.fixture(scope="module")
def clickhouse(stack: Any) -> Iterator[ClickHouse]:
    pool = ClickHouse(stack.clickhouse_url)
    yield pool
    pool.close()


def write(clickhouse: ClickHouse, tenant: str, *days_ago: int) -> None:
    """Write a log line and a rolled-up minute for each day."""
    for ago in days_ago:
        at = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC) - timedelta(days=ago)
        clickhouse.insert_rows("logs_raw", ("TenantId", "Timestamp", "ServiceName", "Body"), [(tenant, at, "s", "b")])


def days_left(clickhouse: ClickHouse, table: str, time: str, tenant: str) -> list[int]:
    rows = clickhouse.query(f"SELECT DISTINCT toDate({time}) FROM {table} WHERE TenantId = %(t)s", {"t": tenant})
    return sorted((TODAY - day).days for (day,) in rows)


def test_each_tenant_keeps_its_own_number_of_days(clickhouse: ClickHouse) -> None:
    short, usual, long = unique("t"), unique("t"), unique("t")
    retention = Retention(clickhouse)
    retention.set(short, Kept(raw=2, rollup=5))
    retention.set(long, Kept(raw=300, rollup=300))
    for tenant in (short, usual, long):
        write(clickhouse, tenant, 0, 2, 4, 40, 200)

    retention.apply(TODAY)

    assert days_left(clickhouse, "logs_raw", "Timestamp", short) == [0, 2]
    assert days_left(clickhouse, "logs_raw", "Timestamp", usual) == [0, 2, 4]
    assert days_left(clickhouse, "logs_raw", "Timestamp", long) == [0, 2, 4, 40, 200]
    assert days_left(clickhouse, "log_signatures_1m", "Minute", short) == [0, 2, 4]
    assert days_left(clickhouse, "log_signatures_1m", "Minute", usual) == [0, 2, 4, 40]
    assert retention.apply(TODAY) == dict.fromkeys((kind.table for kind in TABLES), 0)


def test_every_table_with_days_has_a_retention(clickhouse: ClickHouse) -> None:
    rows = clickhouse.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND partition_key LIKE 'toDate(%%'"
    )
    short_lived = {"service_half_edges", "rollup_checks"}  # working data, gone by their own TTL
    assert {name for (name,) in rows} == {kind.table for kind in TABLES} | short_lived


@pytest.mark.parametrize("kept", [Kept(0, 5), Kept(5, 0), Kept(401, 5), Kept(5, 801)])
def test_times_the_tables_cannot_hold_are_refused(clickhouse: ClickHouse, kept: Kept) -> None:
    with pytest.raises(ValueError, match="raw days must be 1 to 400"):
        Retention(clickhouse).set(unique("t"), kept)


@pytest.mark.parametrize("from_file", [False, True], ids=["Postgres", "tenants file"])
def test_the_command_sets_and_shows(stack: Any, tmp_path: Path, from_file: bool) -> None:
    tenant, extra = unique("t"), dict[str, str]()
    if from_file:
        extra["INCIDENTSCOPE_TENANTS_FILE"] = str(write_tenants(tmp_path, tenant))
    else:
        with psycopg.connect(stack.postgres_url) as conn:
            create_tenant(conn, tenant)

    def run(*arguments: str, url: str = "") -> subprocess.CompletedProcess[str]:
        environment = (
            os.environ | {"CLICKHOUSE_URL": url or stack.clickhouse_url, "POSTGRES_URL": stack.postgres_url} | extra
        )
        command = [sys.executable, "-m", "scripts.set_retention", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert f"{tenant}: raw 7 days, rollups 180 days" in run(tenant, "--raw-days", "7").stdout
    assert f"{tenant}: raw 7 days" in run().stdout
    refused = run(tenant, "--raw-days", "9999")
    assert (refused.returncode, "raw days must be" in refused.stderr) == (1, True)
    unknown = run(tenant + "x")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert f"there is no tenant '{tenant}x'; known: {tenant}" in unknown.stderr
    gone = run(url="clickhouse://default@127.0.0.1:1/incidentscope?http_port=2")
    assert (gone.returncode, len(gone.stderr.strip().splitlines())) == (1, 1)
