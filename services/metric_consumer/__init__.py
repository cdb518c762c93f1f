"""Moves metric points from Kafka to ClickHouse.

Reads `otel.metrics`. Writes the table `metrics_timeseries` and, for what can not be read, `otel.metrics.dlq`. Owns
the consumer group `metric_consumer`; its offsets and batch plans live in Kafka.
Notes in `rollup_checks` which minutes of the rollups to compare with the raw rows, and compares them.
"""
