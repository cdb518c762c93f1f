"""What the ingest soak and benches share: numbered telemetry at a given rate, servers and consumers to kill."""
