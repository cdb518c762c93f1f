"""What a telemetry consumer tells about itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from libs.messaging.ports import Record, TopicPartition
from libs.otlp.batch import DecodedBatch, Rejected

LAG_SECONDS = 2.0
AGE_BUCKETS = (0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300, 1800)


class HasLag(Protocol):
    """Knows how many messages lie ahead."""

    def lag(self) -> dict[TopicPartition, int]:
        """Return how many messages lie ahead, by partition."""
        ...


class BatchMetrics:
    """The metrics of one consumer, named `incidentscope_<service>_...`."""

    def __init__(self, service: str, registry: CollectorRegistry) -> None:
        prefix = f"incidentscope_{service}"
        self._rows = Counter(f"{prefix}_rows_total", "Rows inserted", registry=registry)
        self._truncated = Counter(
            f"{prefix}_truncated_rows_total",
            "Rows of which something was cut, or repaired as it was not Unicode",
            registry=registry,
        )
        self._messages = Counter(f"{prefix}_messages_total", "Messages read into batches", registry=registry)
        self._bytes = Counter(f"{prefix}_bytes_total", "Message bytes read into batches", registry=registry)
        self._batches = Counter(f"{prefix}_batches_total", "Batches closed", ["reason"], registry=registry)
        self._rejected = Counter(f"{prefix}_rejected_total", "Sent to the dead letters", ["reason"], registry=registry)
        self._waits = Counter(f"{prefix}_waits_total", "Times a partition had to wait", registry=registry)
        self._choked = Counter(f"{prefix}_choked_total", "Times reading stopped for want of memory", registry=registry)
        self._verified = Counter(
            f"{prefix}_verified_total", "Repeated inserts checked by coordinates", registry=registry
        )
        self._checks = Counter(
            f"{prefix}_rollup_checks_total", "Minutes of rollups compared with raw rows", ["outcome"], registry=registry
        )
        self._insert = Histogram(f"{prefix}_insert_seconds", "Time of an insert", registry=registry)
        self._age = Histogram(
            f"{prefix}_batch_age_seconds",
            "From the oldest message's broker time until its rows can be read",
            buckets=AGE_BUCKETS,
            registry=registry,
        )
        self._lag = Gauge(
            f"{prefix}_lag_messages", "Messages not stored yet", ["topic", "partition"], registry=registry
        )
        self._lag_at = 0.0

    def closed(self, reason: str) -> None:
        """Count a closed batch."""
        self._batches.labels(reason).inc()

    def inserted(self, records: Sequence[Record], batch: DecodedBatch, seconds: float) -> None:
        """Count a delivered batch."""
        self._messages.inc(len(records))
        self._bytes.inc(sum(len(r.value) for r in records))
        self._rows.inc(batch.rows)
        self._truncated.inc(batch.truncated)
        self._insert.observe(seconds)
        self._age.observe(max(0.0, time.time() - min(r.timestamp_ms for r in records) / 1000))

    def rejected(self, rejected: Sequence[Rejected]) -> None:
        """Count dead letters."""
        for one in rejected:
            self._rejected.labels(one.reason).inc()

    def waited(self) -> None:
        """Count a partition put aside because a server is not available."""
        self._waits.inc()

    def choked(self) -> None:
        """Count a stop of reading because too much is held in memory."""
        self._choked.inc()

    def verified(self) -> None:
        """Count a repeated insert whose rows were counted."""
        self._verified.inc()

    def checked(self, outcome: str) -> None:
        """Count a minute whose rollups were compared."""
        self._checks.labels(outcome).inc()

    def lag(self, source: HasLag, waiting: Mapping[TopicPartition, int]) -> None:
        """Refresh the lag, now and then: what lies ahead, and what was read and waits to be stored."""
        now = time.monotonic()
        if now - self._lag_at < LAG_SECONDS:
            return
        self._lag_at = now
        for place, behind in source.lag().items():
            self._lag.labels(place.topic, str(place.partition)).set(behind + waiting.get(place, 0))
