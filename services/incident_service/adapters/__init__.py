"""Doors and stores: gRPC, Kafka through faust, Postgres."""
