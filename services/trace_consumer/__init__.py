"""Moves spans from Kafka to ClickHouse, and derives the calls between services from them.

Reads `otel.traces` and its own half-edges. Writes the tables `spans_raw` and `service_edges_1m` and, for what can not
be read, `otel.traces.dlq`. Owns the consumer group `trace_consumer`; its offsets and batch plans live in Kafka.
Notes in `rollup_checks` which minutes of the rollups to compare with the raw rows, and compares them.
"""
