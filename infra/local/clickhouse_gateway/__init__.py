"""ClickHouse without a server: the embedded engine behind ClickHouse's native protocol and HTTP interface.

Reads: what clients send on two loopback ports. Writes and owns: one data folder (`engine/` is ClickHouse's own,
`spool/` holds inserts on their way in, `gateway.lock` keeps a second owner out). Made for one machine: services use
the same drivers and SQL as against a server.
"""
