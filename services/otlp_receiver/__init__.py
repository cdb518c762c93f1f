"""The door for telemetry: OTLP over gRPC and HTTP in, Kafka out.

Reads nothing. Writes `otel.logs`, `otel.metrics` and `otel.traces`: the bytes as they came, protobuf or JSON, with the
headers `x-tenant-id` and `content-type`. Owns nothing. A sender hears success only when the broker has acknowledged.
"""
