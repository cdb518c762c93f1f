"""The relay's side of Kafka: messages and lane positions in one transaction, older relays fenced."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from libs.kernel.errors import Unavailable
from libs.messaging.ports import OutgoingRecord
from libs.messaging.topics import OUTBOX_POSITIONS

_TRANSACTION_TIMEOUT_MS = 15_000  # also how long a dead relay can hold back read_committed subscribers
_CALL_TIMEOUT_S = 10.0
_ADMIN_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 40.0  # the broker looks for timed-out transactions every 10 s
_PLACE = TopicPartition(OUTBOX_POSITIONS.name, 0)


class PositionsUnusable(Unavailable):
    """The positions topic is missing, not compacted, or holds what no relay wrote; publishing would lose or repeat."""


class KafkaOutbox:
    """Publishes one outbox. Every call blocks, and raises Unavailable when the relay must start over with `open`."""

    def __init__(self, bootstrap: str, outbox: str) -> None:
        self._bootstrap = bootstrap
        self._outbox = outbox
        self._producer: Producer | None = None

    def open(self) -> dict[int, int]:
        """Fence every older relay of this outbox, finish or abort what it left, and return each lane's position."""
        self.close()
        try:
            self._require_compacted()
            self._producer = Producer(self._producer_config())
            self._producer.init_transactions(_CALL_TIMEOUT_S)
            return self._read_positions()
        except KafkaException as exc:
            raise Unavailable(f"the broker does not let this outbox in: {exc}") from exc

    def publish(self, records: Sequence[OutgoingRecord], positions: Mapping[int, int]) -> None:
        """Publish the records and the new positions of their lanes: all or nothing."""
        if self._producer is None:
            raise Unavailable("the outbox is not open")
        try:
            self._producer.begin_transaction()
            for r in records:
                self._producer.produce(r.topic, r.value, r.key, headers=list(r.headers))
                self._producer.poll(0)
            for lane, position in positions.items():
                self._producer.produce(OUTBOX_POSITIONS.name, str(position), f"{self._outbox}/{lane}")
            self._commit(self._producer)
        except (KafkaException, BufferError) as exc:
            raise Unavailable(f"the transaction did not commit: {exc}") from exc

    def close(self) -> None:
        """Let go of the producer; an open transaction is aborted by the next `open`, whoever calls it."""
        if self._producer is not None:
            self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        self._producer = None  # dropped, not closed: closing would wait for an abort that `open` does anyway

    @staticmethod
    def _commit(producer: Producer) -> None:
        deadline = time.monotonic() + _CALL_TIMEOUT_S
        while True:
            try:
                producer.commit_transaction(_CALL_TIMEOUT_S)
                return
            except KafkaException as exc:
                if not exc.args[0].retriable() or time.monotonic() > deadline:
                    raise

    def _producer_config(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap,
            "transactional.id": f"outbox-{self._outbox}",
            "transaction.timeout.ms": _TRANSACTION_TIMEOUT_MS,
            "delivery.timeout.ms": int(_CALL_TIMEOUT_S * 1000),
            "acks": "all",
            "partitioner": "murmur2_random",  # as the JVM and aiokafka place keys
            "linger.ms": 1,
            "message.max.bytes": 6 * 1024 * 1024,
        }

    def _require_compacted(self) -> None:
        """Positions that expire would publish everything again."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        resource = ConfigResource(ResourceType.TOPIC, OUTBOX_POSITIONS.name)
        try:
            config = admin.describe_configs([resource], request_timeout=_ADMIN_TIMEOUT_S)[resource].result()
        except KafkaException as exc:
            if exc.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise PositionsUnusable(f"topic {_PLACE.topic} does not exist: create the topics first") from exc
            raise
        policy = config["cleanup.policy"].value
        if policy != "compact":
            raise PositionsUnusable(f"topic {_PLACE.topic} must have cleanup.policy=compact, it has {policy!r}")

    def _read_positions(self) -> dict[int, int]:
        """Read committed positions up to the end of the log.

        Up to the high watermark, not to the last stable offset: an open transaction of *another* outbox may hold the
        latter back before our newest position. It ends by its own time-out, or by `libs.messaging.hanging` where the
        coordinator has lost track of it.
        """
        end = self._end_offset()
        consumer = Consumer(self._consumer_config())
        try:
            consumer.assign([TopicPartition(_PLACE.topic, _PLACE.partition, 0)])
            return self._consume(consumer, end)
        finally:
            consumer.close()

    def _end_offset(self) -> int:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        uncommitted = IsolationLevel.READ_UNCOMMITTED
        answer = admin.list_offsets(
            {_PLACE: OffsetSpec.latest()}, isolation_level=uncommitted, request_timeout=_ADMIN_TIMEOUT_S
        )
        return int(answer[_PLACE].result().offset)

    def _consumer_config(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._bootstrap,
            "group.id": f"outbox-{self._outbox}",  # required by the client; nothing is committed under it
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
        }

    def _consume(self, consumer: Consumer, end: int) -> dict[int, int]:
        positions: dict[int, int] = {}
        deadline = time.monotonic() + _READ_TIMEOUT_S
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self._note(positions, message.key(), message.value())
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            elif message.offset() >= end:
                return positions
        raise Unavailable(f"topic {_PLACE.topic} could not be read to its end, offset {end}")

    def _note(self, positions: dict[int, int], key: bytes | None, value: bytes | None) -> None:
        outbox, _, lane = (key or b"").decode("utf-8", "replace").rpartition("/")
        if outbox != self._outbox:
            return
        try:
            positions[int(lane)] = int(value or b"")
        except ValueError as exc:
            raise PositionsUnusable(f"topic {_PLACE.topic} holds {key!r}={value!r}, not a position") from exc
