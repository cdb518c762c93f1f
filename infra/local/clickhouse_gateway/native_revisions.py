"""What came to the native protocol when: the first revision that has it, by ClickHouse's `ProtocolDefines.h`.

Server and client speak the older of their two revisions. `REVISION` is ours: the newest that asks nothing of a server
which the embedded engine could not answer. clickhouse-go reads settings as strings only from servers after 54429.
"""

from __future__ import annotations

OLDEST = 54429  # settings as strings
INTERSERVER_SECRET = 54441
OPENTELEMETRY = 54442
DISTRIBUTED_DEPTH = 54448
QUERY_START_TIME = 54449
PARALLEL_REPLICAS = 54453
CUSTOM_SERIALIZATION = 54454
EVENTS_OF_INSERT = 54456
QUOTA_KEY = 54458
PARAMETERS = 54459
ELAPSED_IN_PROGRESS = 54460
REVISION = ELAPSED_IN_PROGRESS
