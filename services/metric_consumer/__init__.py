"""Moves metric points from Kafka to ClickHouse.

Reads `otel.metrics`. Writes the table `metrics_timeseries` and, for what can not be read, `otel.metrics.dlq`. Owns
the consumer group `metric_consumer`; its offsets and batch plans live in Kafka.
"""
