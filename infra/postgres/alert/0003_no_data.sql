-- Not hearing is not recovery: since when a sender has no data, and which alerts were told to have none.
ALTER TABLE alert ADD COLUMN no_data_since timestamptz;
ALTER TABLE notification_log ADD COLUMN silent text[] NOT NULL DEFAULT '{}';
-- When a sender was last heard, looked up for alerts that it has not repeated.
CREATE INDEX alert_heard ON alert (tenant_id, source, updated_at);
