"""One door for people: live web pages and a REST interface over incidents, causes, services and deploys.

Reads: gRPC of `incident_service` and `deploy_normalizer`; ClickHouse tables `error_rate_1m`, `latency_p95_1m`,
`service_edges_1m` and `log_signatures_1m`; Kafka topics `incidents.events`, `correlation.hypotheses` and
`deploys.events`, only to tell open pages that something changed.
Writes: nothing of its own; acknowledging, resolving and noting go through the incident service.
Owns: nothing.
"""
