"""Watches the one-minute rollups and raises alerts when a service errs or slows down beyond what is usual for it.

Reads: ClickHouse tables `error_rate_1m` and `latency_p95_1m`.
Writes: `alerts.events`.
Owns: nothing. What fires is kept in memory; an alert that is not sent again ends by itself.
"""
