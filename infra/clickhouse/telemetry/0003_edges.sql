-- Calls between services. Each end of a call writes its half as a row; both carry the key of the call, the trace and
-- the client's span. Halves meet in a query over a minute, so order, batches and restarts do not matter. A view that
-- joined spans_raw to itself would only find calls whose two halves arrive in one insert.

CREATE TABLE IF NOT EXISTS service_half_edges
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    ClientSpanId String CODEC(ZSTD(1)),
    Side LowCardinality(String),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ServiceName LowCardinality(String),
    PeerName LowCardinality(String),
    ConnectionType LowCardinality(String),
    Duration UInt64 CODEC(T64, ZSTD(1)),
    IsError UInt8,
    IngestedAt DateTime64(3) CODEC(Delta(8), ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_ingested_at IngestedAt TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, TraceId, ClientSpanId, Side, SpanId)
TTL Minute + INTERVAL 7 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- A consumer names its producer by parent, by link, or both: one row per call it answers. The far end's name, where it
-- is not instrumented, is taken in Tempo's order; old and new semantic conventions are read.
CREATE MATERIALIZED VIEW IF NOT EXISTS service_half_edges_mv TO service_half_edges AS
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    tupleElement(Call, 1) AS TraceId,
    tupleElement(Call, 2) AS ClientSpanId,
    if(IsClient, 'client', 'server') AS Side,
    SpanId,
    ParentSpanId,
    Timestamp,
    ServiceName,
    arrayFirst(v -> v != '', PeerNames) AS PeerName,
    multiIf(DbSystem != '', 'database', IsMessaging, 'messaging_system', RpcSystem != '', 'rpc', HttpMethod != '', 'http', '') AS ConnectionType,
    Duration,
    IsError,
    IngestedAt
FROM
(
    WITH
        arrayFirst(v -> v != '', [
            SpanAttributes['server.address'], SpanAttributes['net.peer.name'], SpanAttributes['network.peer.address'],
            SpanAttributes['net.peer.ip'], SpanAttributes['net.sock.peer.addr']
        ]) AS Address
    SELECT
        TenantId, Timestamp, SpanId, ParentSpanId, ServiceName, Duration, IngestedAt,
        StatusCode = 'Error' AS IsError,
        SpanKind IN ('Client', 'Producer') AS IsClient,
        SpanAttributes['messaging.system'] != '' OR SpanKind IN ('Producer', 'Consumer') AS IsMessaging,
        arrayFirst(v -> v != '', [SpanAttributes['db.system.name'], SpanAttributes['db.system']]) AS DbSystem,
        arrayFirst(v -> v != '', [SpanAttributes['rpc.system.name'], SpanAttributes['rpc.system']]) AS RpcSystem,
        arrayFirst(v -> v != '', [SpanAttributes['http.request.method'], SpanAttributes['http.method']]) AS HttpMethod,
        multiIf(
            NOT IsClient,
            [SpanAttributes['peer.service']],
            DbSystem != '',
            [SpanAttributes['peer.service'], SpanAttributes['db.namespace'], SpanAttributes['db.name'], Address, DbSystem],
            IsMessaging,
            [
                SpanAttributes['peer.service'], SpanAttributes['messaging.destination.name'],
                SpanAttributes['messaging.destination'], Address, SpanAttributes['messaging.system']
            ],
            [
                SpanAttributes['peer.service'], Address, SpanAttributes['http.host'],
                domain(SpanAttributes['url.full']), domain(SpanAttributes['http.url']), SpanAttributes['rpc.service']
            ]
        ) AS PeerNames,
        arrayJoin(arrayDistinct(multiIf(
            IsClient, [(TraceId, SpanId)],
            SpanKind = 'Consumer', arrayConcat([(TraceId, ParentSpanId)], arrayZip(Links.TraceId, Links.SpanId)),
            [(TraceId, ParentSpanId)]
        ))) AS Call
    FROM spans_raw
    WHERE SpanKind IN ('Client', 'Producer', 'Server', 'Consumer')
)
WHERE tupleElement(Call, 1) != '' AND tupleElement(Call, 2) != '';

-- Written by trace_consumer's edge job: a minute is computed again whenever halves of its calls arrive, the newest
-- Version wins, an edge that is gone is written with zero calls. Read it with FINAL.
CREATE TABLE IF NOT EXISTS service_edges_1m
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    Client LowCardinality(String),
    Server LowCardinality(String),
    ConnectionType LowCardinality(String),
    ServerInstrumented UInt8,
    Calls UInt64,
    Errors UInt64,
    ClientDurationSum UInt64,
    ServerDurationSum UInt64,
    Unpaired UInt64,
    Version UInt64
)
ENGINE = ReplacingMergeTree(Version)
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, Client, Server, ConnectionType, ServerInstrumented)
TTL Minute + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;
