-- Minutes whose rollups must be compared with the raw rows: noted when a range of messages had to be sent again, done
-- when they were found equal or were derived again. The newest Version of a minute counts; read it with FINAL.

CREATE TABLE IF NOT EXISTS rollup_checks
(
    RawTable LowCardinality(String),
    TenantId LowCardinality(String),
    Minute DateTime CODEC(Delta(4), ZSTD(1)),
    Done Bool,
    Version UInt64
)
ENGINE = ReplacingMergeTree(Version)
PARTITION BY toDate(Minute)
ORDER BY (RawTable, TenantId, Minute)
TTL Minute + INTERVAL 30 DAY
SETTINGS ttl_only_drop_parts = 1;
