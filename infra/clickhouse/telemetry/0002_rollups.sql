-- One-minute rollups, filled by materialized views as raw rows arrive. Counts and sums, never ratios; sketches,
-- never averaged percentiles. Read them with sum()/min()/max()/...Merge() and GROUP BY: rows collapse in the background.

CREATE TABLE IF NOT EXISTS error_rate_1m
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    ServiceName LowCardinality(String),
    SpanKind LowCardinality(String),
    Total UInt64,
    Errors UInt64,
    DurationSum UInt64
)
ENGINE = SummingMergeTree((Total, Errors, DurationSum))
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, ServiceName, SpanKind)
TTL Minute + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS error_rate_1m_mv TO error_rate_1m AS
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    ServiceName,
    SpanKind,
    count() AS Total,
    countIf(StatusCode = 'Error') AS Errors,
    sum(Duration) AS DurationSum
FROM spans_raw
GROUP BY TenantId, Minute, ServiceName, SpanKind;

CREATE TABLE IF NOT EXISTS latency_p95_1m
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    ServiceName LowCardinality(String),
    SpanKind LowCardinality(String),
    Latency AggregateFunction(quantilesDD(0.01, 0.5, 0.95, 0.99), UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, ServiceName, SpanKind)
TTL Minute + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS latency_p95_1m_mv TO latency_p95_1m AS
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    ServiceName,
    SpanKind,
    quantilesDDState(0.01, 0.5, 0.95, 0.99)(Duration) AS Latency
FROM spans_raw
GROUP BY TenantId, Minute, ServiceName, SpanKind;

CREATE TABLE IF NOT EXISTS log_signatures_1m
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    ServiceName LowCardinality(String),
    SeverityNumber UInt8,
    SignatureHash UInt64,
    Signature SimpleAggregateFunction(any, String),
    Example SimpleAggregateFunction(any, String),
    Count SimpleAggregateFunction(sum, UInt64),
    FirstSeen SimpleAggregateFunction(min, DateTime64(9)),
    LastSeen SimpleAggregateFunction(max, DateTime64(9))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, ServiceName, SeverityNumber, SignatureHash)
TTL Minute + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- The signature is the first line with what varies replaced by <*>: values after `id=`, quoted strings (not in JSON
-- bodies, where the text itself is quoted), UUIDs, times, addresses, hex, numbers. A value must follow something that
-- is neither a letter, a digit nor `#`, so `Class#42`, `sha256` and exception class names stay. The exception's type
-- is put in front when the line does not name it.
CREATE MATERIALIZED VIEW IF NOT EXISTS log_signatures_1m_mv TO log_signatures_1m AS
WITH
    substringUTF8(substringIndex(Body, '\n', 1), 1, 512) AS Line,
    replaceRegexpAll(Line, '((?i:\\b\\w*id\\b)["\']?[=:] ?)["\']?[\\w.-]*\\d[\\w.-]*["\']?', '\\1<*>') AS WithoutIds,
    if(startsWith(Line, '{'), WithoutIds, replaceRegexpAll(WithoutIds, '(^|[^0-9A-Za-z])(?:"[^"]*"|\'[^\']*\')', '\\1<*>')) AS Unquoted,
    replaceRegexpAll(
        Unquoted,
        concat(
            '(^|[^#0-9A-Za-z])(?:',
            '[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}',
            '|\\d{4}-\\d{2}-\\d{2}(?:[T ]\\d{2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?(?:Z|[+-]\\d{2}:?\\d{2})?)?',
            '|\\d{1,3}(?:\\.\\d{1,3}){3}(?::\\d{1,5})?\\b',
            '|\\[?(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4})+\\]?(?::\\d{1,5})?',
            '|0x[0-9a-fA-F]+\\b',
            '|[0-9a-fA-F]{8,}\\b',
            '|[a-z0-9]*[0-9]+[a-z]+[0-9]+[a-z]+[a-z0-9]*\\b',
            '|#?\\d+(?:[.,:]\\d+)*)'
        ),
        '\\1<*>'
    ) AS Masked,
    LogAttributes['exception.type'] AS ExceptionType,
    if(ExceptionType = '' OR position(Masked, ExceptionType) > 0, Masked, concat(ExceptionType, ': ', Masked)) AS LineSignature
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    ServiceName,
    SeverityNumber,
    cityHash64(LineSignature) AS SignatureHash,
    any(LineSignature) AS Signature,
    any(substringUTF8(Body, 1, 2048)) AS Example,
    count() AS Count,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen
FROM logs_raw
GROUP BY TenantId, Minute, ServiceName, SeverityNumber, SignatureHash;

CREATE TABLE IF NOT EXISTS gauges_1m
(
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    ServiceName LowCardinality(String),
    MetricName LowCardinality(String),
    MetricUnit SimpleAggregateFunction(any, LowCardinality(String)),
    ValueSum SimpleAggregateFunction(sum, Float64),
    ValueCount SimpleAggregateFunction(sum, UInt64),
    ValueMin SimpleAggregateFunction(min, Float64),
    ValueMax SimpleAggregateFunction(max, Float64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Minute)
ORDER BY (TenantId, Minute, ServiceName, MetricName)
TTL Minute + INTERVAL 180 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

-- Levels only: gauges and sums that go up and down. Points flagged "no recorded value" and NaN or infinite ones say nothing
CREATE MATERIALIZED VIEW IF NOT EXISTS gauges_1m_mv TO gauges_1m AS
SELECT
    TenantId,
    toDateTime(toStartOfMinute(TimeUnix)) AS Minute,
    ServiceName,
    MetricName,
    any(MetricUnit) AS MetricUnit,
    sum(Value) AS ValueSum,
    count() AS ValueCount,
    min(Value) AS ValueMin,
    max(Value) AS ValueMax
FROM metrics_timeseries
WHERE (MetricType = 'gauge' OR (MetricType = 'sum' AND NOT IsMonotonic)) AND bitAnd(Flags, 1) = 0 AND isFinite(Value)
GROUP BY TenantId, Minute, ServiceName, MetricName;

CREATE TABLE IF NOT EXISTS trace_id_ranges
(
    TenantId LowCardinality(String),
    TraceId String CODEC(ZSTD(1)),
    Start SimpleAggregateFunction(min, DateTime64(9)) CODEC(Delta(8), ZSTD(1)),
    End SimpleAggregateFunction(max, DateTime64(9)) CODEC(Delta(8), ZSTD(1))
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(Start)
ORDER BY (TenantId, TraceId)
TTL toDateTime(Start) + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS trace_id_ranges_mv TO trace_id_ranges AS
SELECT
    TenantId,
    TraceId,
    min(Timestamp) AS Start,
    max(addNanoseconds(Timestamp, toInt64(least(Duration, 86400000000000)))) AS End
FROM spans_raw
WHERE TraceId != ''
GROUP BY TenantId, TraceId;
