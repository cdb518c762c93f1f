"""Watches the one-minute rollups and tells when a service errs, slows down or is asked less than is usual for it.

Reads: ClickHouse tables `error_rate_1m` and `latency_p95_1m`; at its start, what it told on `anomalies.events`.
Writes: `anomalies.events` (each start and end) and, made of them, `alerts.events`.
Owns: nothing. What fires is kept in memory and, after a restart, taken from what was told; an alert that is not sent
again ends by itself.
"""
