"""OTLP bytes to ClickHouse columns."""
