"""What is in ClickHouse against what was sent: raw rows by number, every rollup by minute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from libs.storage.clickhouse import ClickHouse
from libs.storage.rollups import find_rollups
from scripts.ingest.numbered import DURATION_NS, PER_MESSAGE, SIGNALS, Signal
from scripts.ingest.sender import Sender

RAW = """
SELECT count(), uniqExact({number}), uniqExact(IngestTopic, IngestPartition, IngestOffset, IngestIndex), max({number})
FROM {table}
"""
MINUTES = "SELECT toUnixTimestamp(toDateTime(toStartOfMinute({time}))) AS m, count() FROM {table} GROUP BY m"
# What each rollup must add up to, per minute, in terms of the records sent in it: (query, factor)
SENT = {
    "spans": [
        ("SELECT toUnixTimestamp(Minute) AS m, sum(Total) FROM error_rate_1m GROUP BY m", 1.0),
        ("SELECT toUnixTimestamp(Minute) AS m, sum(Errors) FROM error_rate_1m GROUP BY m", 0.05),
        ("SELECT toUnixTimestamp(Minute) AS m, sum(DurationSum) FROM error_rate_1m GROUP BY m", float(DURATION_NS)),
        ("SELECT toUnixTimestamp(Minute) AS m, count() FROM service_half_edges FINAL GROUP BY m", 1.0),
        ("SELECT toUnixTimestamp(Minute) AS m, sum(Calls) FROM service_edges_1m FINAL GROUP BY m", 0.5),
        (
            "SELECT m, count() FROM (SELECT toUnixTimestamp(toDateTime(toStartOfMinute(min(Start)))) AS m "
            "FROM trace_id_ranges GROUP BY TenantId, TraceId) GROUP BY m",
            0.5,
        ),
    ],
    "logs": [("SELECT toUnixTimestamp(Minute) AS m, sum(Count) FROM log_signatures_1m GROUP BY m", 1.0)],
    "metrics": [
        ("SELECT toUnixTimestamp(Minute) AS m, sum(ValueCount) FROM gauges_1m GROUP BY m", 1.0),
        ("SELECT toUnixTimestamp(Minute) AS m, sum(ValueSum) FROM gauges_1m GROUP BY m", (PER_MESSAGE - 1) / 2),
    ],
}


@dataclass(slots=True)
class Comparison:
    """The outcome: records sent, lost, duplicated, and minutes of rollups that differ, each told in `notes`."""

    sent: int = 0
    lost: int = 0
    duplicated: int = 0
    drift: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Return whether nothing differs."""
        return not (self.lost or self.duplicated or self.drift)


def stored(clickhouse: ClickHouse) -> int:
    """Return how many raw rows there are."""
    return sum(int(clickhouse.query(f"SELECT count() FROM {signal.table}")[0][0]) for signal in SIGNALS)


def compare(clickhouse: ClickHouse, sender: Sender) -> Comparison:
    """Compare everything; raises Unavailable."""
    outcome = Comparison()
    for signal in SIGNALS:
        _raw(clickhouse, signal, sender.numbered[signal.name].records, outcome)
        sent = dict(sender.minutes[signal.name])
        _minutes(clickhouse, MINUTES.format(time=signal.time, table=signal.table), 1.0, sent, outcome)
        for sql, factor in SENT[signal.name]:
            _minutes(clickhouse, sql, factor, sent, outcome)
        _rollups(clickhouse, signal, outcome)
    return outcome


def _raw(clickhouse: ClickHouse, signal: Signal, sent: int, outcome: Comparison) -> None:
    ((rows, numbers, places, highest),) = clickhouse.query(RAW.format(number=signal.number, table=signal.table))
    lost, doubled = sent - numbers, rows - min(numbers, places)
    outcome.sent += sent
    outcome.lost += lost
    outcome.duplicated += doubled
    if lost or doubled or (sent and highest != sent - 1):
        outcome.notes.append(
            f"{signal.table}: sent {sent}, rows {rows}, numbers {numbers}, places {places}, {highest=}"
        )


def _minutes(clickhouse: ClickHouse, sql: str, factor: float, sent: dict[int, int], outcome: Comparison) -> None:
    found: dict[int, Any] = dict(clickhouse.query(sql))
    wrong = {m: (found.get(m, 0), sent.get(m, 0) * factor) for m in sent.keys() | found.keys()}
    wrong = {m: pair for m, pair in wrong.items() if abs(pair[0] - pair[1]) > 1e-6 * max(1.0, pair[1])}
    outcome.drift += len(wrong)
    outcome.notes += [f"{sql}: minute {m} has {has}, sent {want:.0f}" for m, (has, want) in sorted(wrong.items())]


def _rollups(clickhouse: ClickHouse, signal: Signal, outcome: Comparison) -> None:
    """Compare every rollup there is, sketches included, with what its view makes of the raw rows."""
    for rollup in find_rollups(clickhouse, signal.table):
        if clickhouse.query(rollup.digest(rollup.table)) != clickhouse.query(rollup.digest(f"({rollup.over('1')})")):
            outcome.drift += 1
            outcome.notes.append(f"{rollup.table} is not what its view makes of {signal.table}")
