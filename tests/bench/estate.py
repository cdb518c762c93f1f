"""A large estate: many services, their calls, their log lines, and one service that starts failing.

Spans and log lines go through the raw tables and their materialized views, as the consumers' do; edges, signatures of
errors and gauges are written as their rollups.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.storage.clickhouse import ClickHouse

HISTORY_MINUTES = 82  # what the engine looks back on: 80 minutes before the alert, and the two of the outage
BROKEN_MINUTES = 2
REACH = 60  # a service calls some of the next so many

SPANS = """
INSERT INTO spans_raw (TenantId, Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, Duration,
    StatusCode, IngestTopic, IngestOffset)
WITH
    cityHash64(number, %(seed)s) AS Draw,
    number %% %(services)s AS Service,
    (intDiv(number, %(services)s) %% 2) = 0 AS IsServer,
    multiIf(NOT %(broken)s OR NOT IsServer, 0.003, Service = %(culprit)s, 0.6, has(%(callers)s, Service), 0.2, 0.003)
        AS ErrorShare
SELECT
    %(tenant)s,
    fromUnixTimestamp64Nano(%(minute_ns)s + Draw %% 60000000000),
    lower(hex(cityHash64(intDiv(number, 20), %(minute_ns)s))) || '0123456789abcdef',
    lower(hex(cityHash64(number, %(minute_ns)s))),
    'feedfacefeedface',
    'GET /' || toString(Service),
    if(IsServer, 'Server', 'Client'),
    'service-' || toString(Service),
    toUInt64(5e6 * exp(((Draw %% 1000) / 1000 - 0.5) * 2)),
    if((Draw %% 100003) / 100003 < ErrorShare, 'Error', 'Unset'),
    'bench',
    number
FROM numbers(%(spans)s)"""

EDGES = """
INSERT INTO service_edges_1m
SELECT %(tenant)s, toDateTime(%(first)s + 60 * Step), 'service-' || toString(Pair.1), 'service-' || toString(Pair.2),
    'http', 1, Calls,
    intDiv(Calls * multiIf(Step < %(onset)s, 3, Pair.2 = %(culprit)s, 600, has(%(callers)s, Pair.2), 200, 3), 1000),
    Calls * 9000000, Calls * 8000000, 0, 1
FROM (
    SELECT arrayJoin(%(pairs)s) AS Pair, arrayJoin(range(%(minutes)s)) AS Step,
        20 + cityHash64(Pair, Step) %% 10 AS Calls
)"""

SIGNATURES = """
INSERT INTO log_signatures_1m
SELECT %(tenant)s, toDateTime(%(first)s + 60 * Step) AS Minute, 'service-' || toString(Service), 17,
    cityHash64(Service, Text),
    'request <*> failed in way ' || toString(Text), 'request 42 failed in way ' || toString(Text),
    if(Service = %(culprit)s AND Step >= %(onset)s, 400, 1 + cityHash64(Service, Text, Step) %% 4), Minute, Minute
FROM (
    SELECT number AS Service, arrayJoin(range(10)) AS Text, arrayJoin(range(%(minutes)s)) AS Step
    FROM numbers(%(services)s)
)"""

# Four lines a span, the third of which the failing service no longer writes; two of the four name their place in code.
LOGS = """
INSERT INTO logs_raw (TenantId, Timestamp, TraceId, SpanId, SeverityNumber, ServiceName, Body, IngestTopic,
    IngestOffset)
WITH
    intDiv(number, 4) AS Span,
    number %% 4 AS Line,
    Span %% %(services)s AS Service,
    cityHash64(Span, %(minute_ns)s) AS Draw
SELECT
    %(tenant)s,
    fromUnixTimestamp64Nano(%(minute_ns)s + Draw %% 59000000000 + Line * 1000000),
    lower(hex(cityHash64(intDiv(Span, 5), %(minute_ns)s))) || '0123456789abcdef',
    lower(hex(Draw)),
    9,
    'service-' || toString(Service),
    multiIf(
        Line = 0, 'Controller#31 request ' || toString(Draw) || ' of user ' || toString(Draw %% 99991),
        Line = 1, 'found ' || toString(Draw %% 97) || ' items for cart ' || lower(hex(Draw)),
        Line = 2, 'Store#112 wrote ' || toString(Draw %% 9973) || ' bytes in ' || toString(Draw %% 89) || ' ms',
        'done after ' || toString(Draw %% 907) || ' ms'),
    'bench',
    number
FROM numbers(%(lines)s)
WHERE NOT (%(broken)s AND Service = %(culprit)s AND Line = 2)"""

GAUGES = """
INSERT INTO gauges_1m
SELECT %(tenant)s, toDateTime(%(first)s + 60 * Step), 'service-' || toString(Service), Metric, '1',
    Level, 1, Level, Level
FROM (
    SELECT number AS Service, arrayJoin(['container.cpu.utilization', 'container.memory.utilization']) AS Metric,
        arrayJoin(range(%(minutes)s)) AS Step, 0.2 + (cityHash64(Service, Metric, Step) %% 100) / 1000 AS Level
    FROM numbers(%(services)s)
)"""


@dataclass(frozen=True)
class Estate:
    """What is laid out for one tenant: `spans` and log `lines` an hour, a failing service, its callers alerting."""

    tenant: str
    services: int
    edges: int
    spans: int
    lines: int
    seed: int
    now: datetime
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn = random.Random(self.seed)
        found: set[tuple[int, int]] = set()
        most = sum(min(REACH, self.services - 1 - i) for i in range(self.services))
        if self.edges > most:
            raise ValueError(f"{self.services} services can have {most} edges here, not {self.edges}")
        while len(found) < self.edges:
            client = drawn.randrange(self.services - 1)
            found.add((client, min(client + 1 + drawn.randrange(REACH), self.services - 1)))
        self.pairs.extend(sorted(found))

    @property
    def culprit(self) -> int:
        """Return the service that fails: one two thirds down the graph."""
        return 2 * self.services // 3

    @property
    def callers(self) -> list[int]:
        """Return who calls it."""
        return [client for client, server in self.pairs if server == self.culprit]

    @property
    def onset(self) -> datetime:
        """Return the first failing minute."""
        return self.now.replace(second=0, microsecond=0) - timedelta(minutes=BROKEN_MINUTES)

    def write(self, clickhouse: ClickHouse, progress: Callable[[str], None]) -> None:
        """Write it all; takes some minutes for ten million spans."""
        first = int((self.onset - timedelta(minutes=HISTORY_MINUTES - BROKEN_MINUTES)).timestamp())
        onset = HISTORY_MINUTES - BROKEN_MINUTES
        common = {
            "tenant": self.tenant, "first": first, "minutes": HISTORY_MINUTES, "services": self.services,
            "onset": onset, "culprit": self.culprit, "callers": self.callers,
        }  # fmt: skip
        progress("edges, signatures and gauges")
        clickhouse.execute(EDGES, {**common, "pairs": self.pairs})
        clickhouse.execute(SIGNATURES, common)
        clickhouse.execute(GAUGES, common)
        for step in range(HISTORY_MINUTES):
            minute = {
                **common, "seed": self.seed + step, "minute_ns": (first + 60 * step) * 10**9, "broken": step >= onset,
                "spans": self.spans // 60, "lines": self.lines // 60,
            }  # fmt: skip
            clickhouse.execute(SPANS, minute)
            clickhouse.execute(LOGS, minute)
            if step % 10 == 9:
                done = step + 1
                progress(f"{done * (self.spans // 60):,} spans, {done * (self.lines // 60):,} log lines")
