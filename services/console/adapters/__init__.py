"""The console's doors: gRPC clients, ClickHouse reads, the Kafka live feed, and HTTP."""
