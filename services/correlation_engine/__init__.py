"""Names the likely cause of an incident.

Reads: topic `incidents.events`; ClickHouse rollups `error_rate_1m`, `latency_p95_1m`, `service_edges_1m`,
`log_signatures_1m`, `gauges_1m`, and a few raw rows, for where an outage is; gRPC DeployService and IncidentService.
Writes: topic `correlation.hypotheses`, keyed by incident id.
Owns: nothing; its schedule is rebuilt from the open incidents, its versions from the stored analyses.
"""
