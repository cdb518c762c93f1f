"""Which log statement follows which within a span, from the raw lines of a sample of traces.

A statement is its `Class#line` where the line names one, else the line less what varies. Sampling takes whole traces,
by a hash of their id, so that about as many lines are read however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.domain.model import FloatArray, Grid, LogTransition, ServiceSeries

MAX_LINES = 300_000  # read of them all, by whole traces
AT_ONCE = 100_000  # of more lines none are read when an answer is awaited
MAX_TRANSITIONS = 20_000

_RANGE = "TenantId = %(tenant)s AND Timestamp >= toDateTime64(%(start)s, 9) AND Timestamp < toDateTime64(%(end)s, 9)"

LINES = """
SELECT sum(Count) FROM log_signatures_1m
WHERE TenantId = %(tenant)s AND Minute >= toDateTime(%(start)s) AND Minute < toDateTime(%(end)s)"""

SPANS = rf"""
SELECT ServiceName, intDiv(toUnixTimestamp(min(Timestamp)) - %(start)s, 60) AS Step,
    arrayMap(x -> x.2, arraySort(groupArray((Timestamp, Statement)))) AS Statements
FROM (
    SELECT ServiceName, TraceId, SpanId, Timestamp, substring(substringIndex(Body, '\n', 1), 1, 256) AS Line,
        extract(Line, '[\\w.$\\[\\]]*[A-Za-z\\]]#\\d+\\b') AS Named,
        if(Named != '', Named, replaceRegexpAll(Line, '\\b(?:[0-9a-fA-F-]{{8,}}|\\d[\\d.,:]*)', '<*>')) AS Statement
    FROM logs_raw
    WHERE {_RANGE} AND SpanId != '' AND ServiceName != '' AND cityHash64(TraceId) %% %(every)s = 0
)
GROUP BY TraceId, SpanId, ServiceName"""

# Each span counts once under SPAN besides: how many log anything at all.
SPAN = "\x01"
TRANSITIONS = f"""
SELECT ServiceName, Pair.1 AS Statement, Pair.2 AS Following, groupArray(Step), groupArray(Times)
FROM (
    SELECT ServiceName, Step, count() AS Times,
        arrayJoin(arrayZip(arrayPushFront(Statements, char(1)),
            arrayPushFront(arrayPushBack(arrayPopFront(Statements), ''), ''))) AS Pair
    FROM ({SPANS}) GROUP BY ServiceName, Step, Pair
)
GROUP BY ServiceName, Statement, Following ORDER BY Statement = char(1) DESC, sum(Times) DESC LIMIT {MAX_TRANSITIONS}"""


@dataclass(frozen=True, slots=True)
class Following:
    """What follows what, and per service how many spans log anything (an estimate from the sample)."""

    between: tuple[LogTransition, ...]
    logging: dict[str, FloatArray]


def load(clickhouse: ClickHouse, tenant: str, grid: Grid, hurried: bool = False) -> Following:
    """Return the transitions of all services on a grid of minutes; hurried, none of many lines. Raises Unavailable."""
    start = int(grid.start.timestamp())
    params = {"tenant": tenant, "start": start, "end": start + 60 * grid.length}
    lines = int(clickhouse.query(LINES, params)[0][0] or 0)
    if not lines or (hurried and lines > AT_ONCE):
        return Following((), {})
    every = max(1, -(-lines // MAX_LINES))
    rows = clickhouse.query(TRANSITIONS, {**params, "every": every})
    spans = {row[0]: every * _laid(grid, row[3], row[4]) for row in rows if row[1] == SPAN}
    return Following(tuple(_transitions([row for row in rows if row[1] != SPAN], grid)), spans)


def logging(found: Following, services: Iterable[ServiceSeries]) -> Iterator[LogTransition]:
    """Return, per service that logs, the requests served beside the spans that log anything."""
    for series in services:
        if series.service in found.logging:
            yield LogTransition(series.service, "", "", series.requests, found.logging[series.service])


def _laid(grid: Grid, steps: list[int], times: list[int]) -> FloatArray:
    laid = grid.zeros()
    for step, count in zip(steps, times, strict=True):
        if 0 <= step < grid.length:
            laid[step] += count
    return laid


def _transitions(rows: list[tuple[str, str, str, list[int], list[int]]], grid: Grid) -> Iterator[LogTransition]:
    followed = {(row[0], row[1], row[2]): _laid(grid, row[3], row[4]) for row in rows}
    ran: dict[tuple[str, str], FloatArray] = defaultdict(grid.zeros)
    for (service, statement, _following), times in followed.items():
        ran[service, statement] = np.add(ran[service, statement], times)
    for (service, statement, following), times in followed.items():
        yield LogTransition(service, statement, following, ran[service, statement], times)
