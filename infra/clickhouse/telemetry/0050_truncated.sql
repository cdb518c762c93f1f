-- How much of a row was cut by the decoder's bounds: attributes, levels of nesting, ends of texts. 0 for whole rows.

ALTER TABLE logs_raw ADD COLUMN IF NOT EXISTS TruncatedCount UInt32 CODEC(ZSTD(1)) AFTER EventName;

ALTER TABLE spans_raw ADD COLUMN IF NOT EXISTS TruncatedCount UInt32 CODEC(ZSTD(1)) AFTER `Links.Attributes`;

ALTER TABLE metrics_timeseries ADD COLUMN IF NOT EXISTS TruncatedCount UInt32 CODEC(ZSTD(1)) AFTER `Exemplars.TraceId`;
