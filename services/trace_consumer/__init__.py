"""Moves spans from Kafka to ClickHouse.

Reads `otel.traces`. Writes the table `spans_raw` and, for what can not be read, `otel.traces.dlq`. Owns the consumer group
`trace_consumer`; its offsets and batch plans live in Kafka.
"""
