from __future__ import annotations

import pytest

from libs.storage.rollups import Repair, describe, measure

SELECT = "SELECT TenantId, Minute, count() AS Total FROM db.spans_raw WHERE x IN (SELECT y FROM db.spans_raw_old)"
KEY = "TenantId, Minute"
SUMS = [("TenantId", "LowCardinality(String)"), ("Minute", "DateTime"), ("Total", "UInt64")]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("UInt64", "sum(c)"),
        ("SimpleAggregateFunction(sum, UInt64)", "sum(c)"),
        ("SimpleAggregateFunction(max, DateTime64(9))", "max(c)"),
        ("SimpleAggregateFunction(sum, Float64)", None),
        ("SimpleAggregateFunction(any, LowCardinality(String))", None),
        ("AggregateFunction(quantilesDD(0.01, 0.5, 0.95), UInt64)", "quantilesDDMergeState(0.01, 0.5, 0.95)(c)"),
        ("AggregateFunction(uniq, String)", "uniqMergeState(c)"),
        ("AggregateFunction(1, sumMap, Array(Float64), Array(Float64))", "sumMapMergeState(c)"),
        ("String", None),
    ],
)
def test_a_column_is_compared_by_what_does_not_depend_on_the_order_of_rows(kind: str, expected: str | None) -> None:
    assert measure("c", kind) == expected


def test_sums_are_derived_again_and_least_and_greatest_are_written_again() -> None:
    ranges = [*SUMS[:2], ("Start", "SimpleAggregateFunction(min, DateTime64(9))")]
    replaced = [*SUMS[:2], ("Calls", "UInt64")]
    found = [
        describe("t", "db.spans_raw", SELECT, engine, KEY, columns).repair
        for engine, columns in (
            ("SummingMergeTree", SUMS),
            ("AggregatingMergeTree", ranges),
            ("ReplacingMergeTree", replaced),
            ("ReplicatedReplacingMergeTree", replaced),
        )
    ]
    assert found == [Repair.DERIVE, Repair.REPEAT, Repair.REPEAT, Repair.REPEAT]


def test_a_view_is_run_over_chosen_rows_of_its_own_source_only() -> None:
    rollup = describe("t", "db.spans_raw", SELECT, "SummingMergeTree", KEY, SUMS)
    assert rollup.over("a = 1") == (
        "SELECT TenantId, Minute, count() AS Total FROM (SELECT * FROM db.spans_raw WHERE a = 1) "
        "WHERE x IN (SELECT y FROM db.spans_raw_old)"
    )
    assert rollup.write("a = 1").startswith(
        "INSERT INTO t (TenantId, Minute, Total) SELECT TenantId, Minute, Total FROM"
    )
    assert "insert_deduplicate = 0" in rollup.write("a = 1")


def test_the_moment_of_storing_is_set_anew() -> None:
    columns = [*SUMS[:2], ("IngestedAt", "DateTime64(3)")]
    rollup = describe("t", "db.spans_raw", SELECT, "ReplacingMergeTree", KEY, columns)
    assert "now64(3) AS IngestedAt" in rollup.write("1")
