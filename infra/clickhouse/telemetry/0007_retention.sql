-- How long each tenant's telemetry is kept, set by `python -m scripts.set_retention`; a tenant without a row has the
-- defaults of libs/storage/retention.py. log_consumer's retention job drops whole days, and deletes the tenants whose
-- time is over from days that others still keep. The tables' own TTL is only the bound no tenant can pass.

CREATE TABLE IF NOT EXISTS tenant_retention
(
    TenantId String,
    RawDays UInt16,
    RollupDays UInt16,
    Version DateTime64(3) DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(Version)
ORDER BY TenantId;

ALTER TABLE logs_raw MODIFY TTL toDateTime(Timestamp) + INTERVAL 400 DAY;

ALTER TABLE spans_raw MODIFY TTL toDateTime(Timestamp) + INTERVAL 400 DAY;

ALTER TABLE metrics_timeseries MODIFY TTL toDateTime(TimeUnix) + INTERVAL 400 DAY;

ALTER TABLE trace_id_ranges MODIFY TTL toDateTime(Start) + INTERVAL 400 DAY;

ALTER TABLE error_rate_1m MODIFY TTL Minute + INTERVAL 800 DAY;

ALTER TABLE latency_p95_1m MODIFY TTL Minute + INTERVAL 800 DAY;

ALTER TABLE log_signatures_1m MODIFY TTL Minute + INTERVAL 800 DAY;

ALTER TABLE gauges_1m MODIFY TTL Minute + INTERVAL 800 DAY;

ALTER TABLE metric_series_1m MODIFY TTL Minute + INTERVAL 800 DAY;

ALTER TABLE service_edges_1m MODIFY TTL Minute + INTERVAL 800 DAY;
