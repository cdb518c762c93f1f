"""The receiver and the three consumers on real servers, on topics and tenants of their own."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
from confluent_kafka.admin import AdminClient, NewTopic
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from libs.messaging.kafka import KafkaProducer
from libs.messaging.ports import OutgoingRecord
from libs.messaging.topics import MAX_DEAD_LETTER_BYTES, MAX_MESSAGE_BYTES
from libs.storage.clickhouse import ClickHouse
from tests.integration.alert_world import (
    KEY,
    ServiceProcess,
    eventually,
    free_port,
    read,
    unique,
    write_tenants,
)

FRESH_SECONDS = 5.0  # how soon what was sent must be readable
PROTOBUF = "application/x-protobuf"
PARTITIONS = 3
EXPORT = {
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
}


@dataclass
class IngestWorld:
    """The running services, and short ways to talk to them."""

    clickhouse: ClickHouse
    bootstrap: str
    environment: dict[str, str]
    topics: dict[str, str]
    grpc_port: int
    folder: Path
    processes: dict[str, ServiceProcess] = field(default_factory=dict)
    _tenants: list[str] = field(default_factory=list)

    def new_tenant(self) -> str:
        """Return a tenant no other test uses."""
        return self._tenants.pop()

    def url(self, path: str) -> str:
        """Return an address at the receiver."""
        return self.processes["otlp_receiver"].url + path

    def post(
        self, signal: str, body: bytes | Message, tenant: str, content_type: str = PROTOBUF, **headers: str
    ) -> httpx.Response:
        """Export over HTTP."""
        content = body.SerializeToString() if isinstance(body, Message) else body
        sent = {"content-type": content_type, "x-api-key": f"{KEY}-{tenant}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url(f"/v1/{signal}"), content=content, headers=sent, timeout=30, trust_env=False)

    def call(self, signal: str, body: bytes, tenant: str, port: int = 0, **options: Any) -> bytes:
        """Export over gRPC, to this receiver or one on another port; raises grpc.RpcError."""
        address, unlimited = f"127.0.0.1:{port or self.grpc_port}", [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(address, options=unlimited) as channel:
            metadata = (("x-api-key", f"{KEY}-{tenant}"),) if tenant else ()
            export: Any = channel.unary_unary(EXPORT[signal], None, None)  # bytes in, bytes out
            return bytes(export(body, metadata=metadata, timeout=30, **options))

    def produce(self, signal: str, values: Sequence[bytes], **headers: str) -> None:
        """Write to a telemetry topic as a collector's Kafka exporter does."""
        named = tuple((name.replace("_", "-"), value.encode()) for name, value in headers.items())
        producer = KafkaProducer(self.bootstrap)
        topic = self.topics[signal]
        producer.send([OutgoingRecord(topic, str(i).encode(), value, named) for i, value in enumerate(values)])
        producer.close()

    def letters(self, signal: str, value: bytes) -> list[dict[str, str]]:
        """Return the headers of the dead letters with these bytes, waiting for one."""
        found = read(self.bootstrap, f"{self.topics[signal]}.dlq", lambda m: m.value() == value, 1)
        return [{name: raw.decode() for name, raw in message.headers()} for message in found]

    def query(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self.clickhouse.query(sql, params)

    def count(self, table: str, tenant: str) -> int:
        """Return how many rows a tenant has."""
        ((rows,),) = self.query(f"SELECT count() FROM {table} WHERE TenantId = %(tenant)s", tenant=tenant)
        return int(rows)

    def wait_for_rows(self, table: str, tenant: str, rows: int, timeout_s: float = FRESH_SECONDS) -> float:
        """Return the seconds until a tenant had that many rows."""
        begun = time.monotonic()
        eventually(lambda: self.count(table, tenant), lambda found: found >= rows, timeout_s)
        return time.monotonic() - begun

    def edges(self, tenant: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Return a tenant's edges by client and server."""
        rows = self.clickhouse.query_dicts(
            "SELECT * FROM service_edges_1m FINAL WHERE TenantId = %(tenant)s AND Calls > 0", {"tenant": tenant}
        )
        return {(row["Client"], row["Server"]): row for row in rows}


@contextmanager
def running_ingest(servers: Any, folder: Path, services: Sequence[str]) -> Iterator[IngestWorld]:
    """Run services on topics of their own for as long as the block lasts."""
    name = unique("ingest")
    topics = {signal: f"{name}.{signal}" for signal in EXPORT}
    create_topics(servers.kafka_bootstrap, topics.values())
    tenants = [unique("t") for _ in range(60)]
    grpc_port = free_port()
    environment = {
        **{f"OTEL_{signal.upper()}_TOPIC": topic for signal, topic in topics.items()},
        "KAFKA_BOOTSTRAP": servers.kafka_bootstrap,
        "POSTGRES_URL": servers.postgres_service_url,
        "CLICKHOUSE_URL": servers.clickhouse_url,
        "INCIDENTSCOPE_TENANTS_FILE": str(write_tenants(folder, *tenants)),
        "INCIDENTSCOPE_ANONYMOUS_TENANT": "",
        "INGEST_GROUP": name,
        "EDGE_SECONDS": "1",
        "OTLP_GRPC_PORT": str(grpc_port),
    }
    with ExitStack() as opened:
        clickhouse = ClickHouse(servers.clickhouse_url)
        opened.callback(clickhouse.close)
        world = IngestWorld(
            clickhouse, servers.kafka_bootstrap, environment, topics, grpc_port, folder, _tenants=tenants
        )
        for service in services:
            process = world.processes[service] = new_process(world, service)
            opened.callback(process.stop)
        with ThreadPoolExecutor() as together:
            list(together.map(ServiceProcess.start, world.processes.values()))
        yield world


def new_process(world: IngestWorld, service: str, **changes: str) -> ServiceProcess:
    """Return a service that is not yet started, with some settings changed."""
    group = {"INGEST_GROUP": f"{world.environment['INGEST_GROUP']}-{service}"}
    log = world.folder / f"{service}-{secrets.token_hex(3)}.log"
    return ServiceProcess(service, {**world.environment, **group, **changes}, log)


def create_topics(bootstrap: str, names: Any) -> None:
    """Create telemetry topics and their dead-letter topics."""
    config = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    wanted = [NewTopic(topic, PARTITIONS, 1, config=config) for topic in names]
    roomy = {"max.message.bytes": str(MAX_DEAD_LETTER_BYTES)}
    wanted += [NewTopic(f"{topic}.dlq", 1, 1, config=roomy) for topic in names]
    admin = AdminClient({"bootstrap.servers": bootstrap})  # pending results die with it
    for made in admin.create_topics(wanted).values():
        made.result(30)


def attributes(plain: Mapping[str, str]) -> list[KeyValue]:
    """Return text attributes."""
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in plain.items()]


def span(
    trace: bytes, number: int, parent: int = 0, kind: int = 2, error: bool = False, ms: int = 10, **about: str
) -> Span:
    """Return a span that started now. `about` are attributes, `__` standing for the dot."""
    start = time.time_ns()
    made = Span(trace_id=trace, span_id=number.to_bytes(8, "big"), name=f"span {number}")
    made.kind = kind  # type: ignore[assignment]
    made.parent_span_id = parent.to_bytes(8, "big") if parent else b""
    made.start_time_unix_nano, made.end_time_unix_nano = start, start + ms * 1_000_000
    made.status.code = 2 if error else 0  # type: ignore[assignment]
    made.attributes.extend(attributes({name.replace("__", "."): value for name, value in about.items()}))
    return made


def new_trace() -> bytes:
    """Return a trace id."""
    return os.urandom(16)
