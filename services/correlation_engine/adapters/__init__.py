"""ClickHouse, gRPC and Kafka behind the engine's ports."""
