"""Seeded OTLP requests: typical ones for measuring, odd and broken ones for testing."""
