"""How a telemetry consumer is put together: one topic, one decoder, one table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from prometheus_client import REGISTRY
from pydantic import Field

from libs.access.tenants import TenantRegistry
from libs.kernel.errors import InvalidInput
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batch_state import Limits
from libs.messaging.batches import BatchLoop, DecodeRecords
from libs.messaging.dlq import DeadLetters
from libs.messaging.kafka import KafkaConsumer, letter_producer
from libs.messaging.ports import Record, TopicPartition
from libs.otlp.batch import Decode, DecodedBatch, Message, Rejected
from libs.otlp.columnar import VERSION, ColumnarDecoder
from libs.runtime.access import open_access
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.record_tenant import tenant_of
from libs.runtime.settings import ServiceSettings
from libs.storage.clickhouse import ClickHouse
from libs.storage.rollup_checks import RollupChecks
from libs.storage.table_sink import TableSink

log = structlog.get_logger()
MAX_POLL_MS = 900_000  # an insert may wait long for a busy server; that is no reason to lose the partition


class IngestSettings(ServiceSettings):
    """Settings of the telemetry consumers."""

    ingest_group: str = ""
    """The consumer group; the service's name when empty."""
    ingest_batch_seconds: float = Field(default=1.0, gt=0, le=60)
    """The age at which a batch is inserted."""
    ingest_batch_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    """The size at which a batch is inserted."""
    ingest_batch_messages: int = Field(default=5_000, ge=1)
    """The number of messages at which a batch is inserted."""
    ingest_session_seconds: float = Field(default=10.0, ge=6, le=300)
    """How long until the group notices that a consumer is gone."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """One consumer: its service name (also the consumer group), topic, table and decoder.

    `reference` decodes what is replayed: it knows parts of messages, see `Message.first_index`.
    """

    service: str
    topic: str
    table: str
    decode: ColumnarDecoder
    reference: Decode


def _from_start(_record: Record) -> int:
    return 0


def with_tenants(
    decode: Decode, tenants: TenantRegistry, anonymous: str, first_index: Callable[[Record], int] = _from_start
) -> DecodeRecords:
    """Return a decoder of Kafka messages: the tenant is the `x-tenant-id` header, else `anonymous` where it is set.

    A message of no known tenant is rejected with reason `unknown_tenant`, never given to a default one.
    """

    def decode_records(records: Sequence[Record]) -> DecodedBatch:
        known: list[int] = []
        messages: list[Message] = []
        strangers: list[Rejected] = []
        for index, record in enumerate(records):
            if record.unreadable:
                strangers.append(Rejected(index, "unreadable", record.unreadable))
                continue
            try:
                tenant = tenant_of(record, anonymous)
                if not tenants.known(tenant):
                    raise InvalidInput("unknown_tenant", f"no tenant is called {tenant[:64]!r}")
            except InvalidInput as error:
                strangers.append(Rejected(index, error.reason, str(error)))
            else:
                known.append(index)
                messages.append(_message(record, tenant, first_index(record)))
        decoded = _apart(decode, messages)
        rejected = (*strangers, *(replace(r, index=known[r.index]) for r in decoded.rejected))
        return replace(decoded, rejected=rejected)

    return decode_records


def _apart(decode: Decode, messages: Sequence[Message]) -> DecodedBatch:
    """Decode; messages that break the decoder are rejected as `decoder_failed`, as they would break it for ever."""
    try:
        return decode(messages)
    except Exception as exc:
        log.error("decoder_failed", messages=len(messages), error=repr(exc), exc_info=exc)
        failures = {index: why for index, one in enumerate(messages) if (why := _failure(decode, one))}
        if not failures:  # together only: nothing of it can be told apart
            raise
    kept = [index for index in range(len(messages)) if index not in failures]
    decoded = decode([messages[index] for index in kept])
    rejected = [replace(r, index=kept[r.index]) for r in decoded.rejected]
    rejected += [Rejected(index, "decoder_failed", why) for index, why in failures.items()]
    return replace(decoded, rejected=tuple(rejected))


def _failure(decode: Decode, message: Message) -> str:
    try:
        decode([message])
    except Exception as exc:
        return repr(exc)
    return ""


def _message(record: Record, tenant: str, first_index: int) -> Message:
    content_type = (record.header("content-type") or "").partition(";")[0].strip().lower()
    return Message(
        record.value,
        tenant,
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms,
        content_type,
        first_index,
    )


async def start_ingest(lifecycle: Lifecycle, settings: IngestSettings, ingest: Ingest) -> ClickHouse:
    """Start the batch loop in a thread and the health endpoint; returns the ClickHouse pool for further jobs."""
    tenants = await open_access(lifecycle)
    clickhouse = ClickHouse(settings.clickhouse_url)
    lifecycle.push(clickhouse.close, "clickhouse")
    producer = letter_producer(settings.kafka_bootstrap)
    lifecycle.push(lambda: asyncio.to_thread(producer.close), "producer")

    def open_source(on_revoke: Callable[[list[TopicPartition]], None]) -> KafkaConsumer:
        session_ms = int(settings.ingest_session_seconds * 1000)
        extra: dict[str, Any] = {"max.poll.interval.ms": MAX_POLL_MS, "session.timeout.ms": session_ms}
        return KafkaConsumer(
            settings.kafka_bootstrap,
            settings.ingest_group or ingest.service,
            [ingest.topic],
            on_revoke=on_revoke,
            **extra,
        )

    metrics = BatchMetrics(ingest.service, REGISTRY)
    loop = BatchLoop(
        open_source,
        with_tenants(ingest.decode, tenants, settings.anonymous_tenant),
        VERSION,
        TableSink(clickhouse, ingest.table),
        DeadLetters(producer),
        metrics,
        Limits(
            max_bytes=settings.ingest_batch_bytes,
            max_messages=settings.ingest_batch_messages,
            max_age_s=settings.ingest_batch_seconds,
        ),
    )
    lifecycle.health.check("ingest", loop.problem)
    await lifecycle.serve_http(lifecycle.health.app(), settings.health_port)
    checks = RollupChecks(clickhouse, ingest.table, lambda: loop.holds(0), metrics.checked)
    lifecycle.thread("rollup_checks", checks.run, checks.stop)

    def run() -> None:
        ingest.decode.warm_up()  # no batch is to wait for the compiler, and the group for this member
        loop.run()

    lifecycle.thread("batches", run, loop.stop)
    return clickhouse
