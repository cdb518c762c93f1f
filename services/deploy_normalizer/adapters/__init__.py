"""HTTP and gRPC doors, PostgreSQL behind."""
