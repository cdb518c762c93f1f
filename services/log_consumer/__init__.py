"""Moves log records from Kafka to ClickHouse.

Reads `otel.logs`. Writes the table `logs_raw` and, for what can not be read, `otel.logs.dlq`. Owns the consumer group
`log_consumer`; its offsets and batch plans live in Kafka.
Applies the retention of every tenant (`tenant_retention`) to all telemetry tables.
Notes in `rollup_checks` which minutes of the rollups to compare with the raw rows, and compares them.
"""
