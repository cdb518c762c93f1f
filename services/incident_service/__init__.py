"""Incidents: opened from alert groups or by hand, moved by people, and told of on Kafka exactly once.

Reads: `alerts.notifications` (alert_router), `correlation.hypotheses` (correlation_engine), and its own
`incidents.events` for those who watch.
Writes: `incidents.events`, through the outbox.
Owns: Postgres schema `incident`; gRPC `incidentscope.incident.v1.IncidentService`; what messages to people outside say.
"""
