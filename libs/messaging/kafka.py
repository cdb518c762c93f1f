"""The ports over Apache Kafka, by confluent-kafka (librdkafka)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import confluent_kafka as ck
import structlog

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.ports import (
    DeliveryFailed,
    Headers,
    MessageTooLarge,
    OutgoingRecord,
    Position,
    Record,
    TopicPartition,
)
from libs.messaging.topics import MAX_MESSAGE_BYTES
from libs.messaging.unreadable import CODES, Stepping

log = structlog.get_logger()
DELIVERY_SECONDS = 30.0
MAX_LETTER_BYTES = 128 * 1024 * 1024  # before compression; the consumers unpack at most 100 MB
SESSION_MS = 10_000
Listener = Callable[[list[TopicPartition]], None]


def _common(bootstrap: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "error_cb": _on_error,
        "log_level": 4,
        "socket.keepalive.enable": True,
    }


def _on_error(error: ck.KafkaError) -> None:
    if error.fatal():
        log.error("kafka_fatal", error=str(error))
    else:
        log.warning("kafka_error", error=str(error))


def producer_config(bootstrap: str, **extra: Any) -> dict[str, Any]:
    """Return the configuration of an idempotent producer that waits for all in-sync replicas."""
    return {
        **_common(bootstrap),
        "enable.idempotence": True,
        "linger.ms": 5,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # what the JVM's and aiokafka's producers do: one key, one partition
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
        **extra,
    }


class KafkaProducer:
    """An idempotent producer; `send` returns when the broker has acknowledged every record."""

    def __init__(self, bootstrap: str, **extra: Any) -> None:
        self._producer = ck.Producer(producer_config(bootstrap, **extra))

    def send(self, records: Sequence[OutgoingRecord]) -> None:
        """Write the records and return once all are acknowledged; raises DeliveryFailed or MessageTooLarge."""
        _send(self._producer, records)

    def reach(self, timeout_s: float) -> None:
        """Return once a broker has answered; raises Unavailable when none does in time."""
        try:
            self._producer.list_topics(timeout=timeout_s)
        except ck.KafkaException as exc:
            raise Unavailable(f"Kafka does not answer: {exc}") from exc

    def close(self) -> None:
        """Flush and release the connection."""
        self._producer.flush(5)


def letter_producer(bootstrap: str) -> KafkaProducer:
    """Return a producer for dead letters: what came compressed may be far larger than a message, and is so again."""
    return KafkaProducer(bootstrap, **{"compression.type": "zstd", "message.max.bytes": MAX_LETTER_BYTES})


def _send(producer: Any, records: Sequence[OutgoingRecord]) -> None:
    failures: dict[int, ck.KafkaError] = {}

    for index, record in enumerate(records):
        _produce(producer, record, index, failures)
    remaining = producer.flush(DELIVERY_SECONDS)
    too_large = [i for i, error in sorted(failures.items()) if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE]
    if remaining or len(failures) > len(too_large):
        first = [str(error) for error in failures.values()][:1]
        raise DeliveryFailed(f"{len(failures) + remaining} of {len(records)} messages not acknowledged: {first}")
    if too_large:
        raise MessageTooLarge(f"{records[too_large[0]].topic} takes no message of that size", too_large)


def _produce(producer: Any, record: OutgoingRecord, index: int, failures: dict[int, ck.KafkaError]) -> None:
    def acknowledged(error: ck.KafkaError | None, _message: Any) -> None:
        if error is not None:
            failures[index] = error

    while True:
        try:
            producer.produce(
                record.topic, record.value, record.key, headers=list(record.headers), on_delivery=acknowledged
            )
        except BufferError:  # the local queue is full: let it drain
            producer.poll(0.1)
        except ck.KafkaException as exc:
            if exc.args[0].code() != ck.KafkaError.MSG_SIZE_TOO_LARGE:
                raise DeliveryFailed(f"cannot write to {record.topic}: {exc}") from exc
            failures[index] = exc.args[0]
            return
        else:
            producer.poll(0)
            return


class KafkaConsumer:
    """A group member that reads committed messages from the earliest offset and commits by hand."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Sequence[str],
        on_assign: Listener | None = None,
        on_revoke: Listener | None = None,
        **extra: Any,
    ) -> None:
        config = {
            **_common(bootstrap),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": SESSION_MS,
            "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
            "fetch.max.bytes": 3 * MAX_MESSAGE_BYTES,  # with the next, what waits in memory to be polled
            "queued.max.messages.kbytes": 32 * 1024,
            **extra,
        }
        self._consumer = ck.Consumer(config)
        self._stepping = Stepping()
        self._consumer.subscribe(list(topics), on_assign=self._listener(on_assign), on_revoke=self._listener(on_revoke))

    def _listener(self, listener: Listener | None) -> Any:
        def told(_consumer: Any, assigned: Any) -> None:
            places = [TopicPartition(p.topic, p.partition) for p in assigned]
            self._stepping.forget(places)
            if listener is not None:
                listener(places)

        return told

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:
        """Return up to max_records, waiting up to timeout_s for the first; raises Unavailable."""
        try:
            messages = self._consumer.consume(max_records, timeout_s)
            stepped = list(self._stepping.over(self._consumer, filter(_unreadable, messages)))
        except ck.KafkaException as exc:
            raise Unavailable(f"cannot read from Kafka: {exc}") from exc
        return [_record(m) for m in messages if not _is_error(m)] + stepped

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions synchronously; raises Unavailable, also when the group has moved the partition on."""
        offsets = [
            ck.TopicPartition(place.topic, place.partition, position.offset, metadata=position.metadata)
            for place, position in positions.items()
        ]
        try:
            results = self._consumer.commit(offsets=offsets, asynchronous=False)
        except ck.KafkaException as exc:
            raise Unavailable(f"cannot commit: {exc}") from exc
        failed = [str(r.error) for r in results or () if r.error]
        if failed:
            raise Unavailable(f"cannot commit: {failed[0]}")

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:
        """Return what was last committed for those partitions that have it."""
        asked = [ck.TopicPartition(p.topic, p.partition) for p in places]
        try:
            answers = self._consumer.committed(asked, DELIVERY_SECONDS)
        except ck.KafkaException as exc:
            raise Unavailable(f"cannot read committed positions: {exc}") from exc
        return {
            TopicPartition(a.topic, a.partition): Position(a.offset, a.metadata or "") for a in answers if a.offset >= 0
        }

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions this member holds now."""
        return [TopicPartition(t.topic, t.partition) for t in self._consumer.assignment()]

    def pause(self, places: Sequence[TopicPartition]) -> None:
        """Stop fetching from partitions while poll keeps the membership alive."""
        self._switch(self._consumer.pause, places)

    def resume(self, places: Sequence[TopicPartition]) -> None:
        """Fetch from partitions again."""
        self._switch(self._consumer.resume, places)

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Continue a held partition from an offset; raises Unavailable."""
        self._stepping.forget([place])
        try:
            self._consumer.seek(ck.TopicPartition(place.topic, place.partition, offset))
        except ck.KafkaException as exc:
            raise Unavailable(f"cannot go on with {place.topic}[{place.partition}] at {offset}: {exc}") from exc

    @staticmethod
    def _switch(change: Any, places: Sequence[TopicPartition]) -> None:
        """Pause or resume; the client minds only a partition that the group has just moved on, for which it is moot."""
        for place in places:
            try:
                change([ck.TopicPartition(place.topic, place.partition)])
            except ck.KafkaException as exc:
                log.warning("kafka_partition_gone", topic=place.topic, partition=place.partition, error=str(exc))

    def lag(self) -> dict[TopicPartition, int]:
        """Return, for each held partition, how many messages lie ahead, from cached watermarks."""
        lags = {}
        try:
            for place in self._consumer.position(self._consumer.assignment()):
                _low, high = self._consumer.get_watermark_offsets(place, cached=True)
                if place.offset >= 0 and high >= 0:
                    lags[TopicPartition(place.topic, place.partition)] = max(0, high - place.offset)
        except ck.KafkaException as exc:  # a partition has just gone; the next look tells
            log.warning("kafka_lag_unknown", error=str(exc))
        return lags

    def close(self) -> None:
        """Leave the group and release the connection."""
        self._consumer.close()


def read_topic(bootstrap: str, topic: str, quiet_s: float = 15.0) -> Iterator[Record]:
    """Yield every committed message of a topic up to its present end, partition by partition; commits nothing.

    Raises Unavailable when the broker does not answer, InvalidInput `unknown_topic`.
    """
    config = {
        **_common(bootstrap), "log_level": 0, "group.id": "read-topic", "enable.auto.commit": False,
        "isolation.level": "read_committed", "enable.partition.eof": True,
        "fetch.message.max.bytes": MAX_MESSAGE_BYTES, "queued.max.messages.kbytes": 32 * 1024,
    }  # fmt: skip
    consumer = ck.Consumer(config)
    try:
        about = consumer.list_topics(topic, quiet_s).topics[topic]
        if about.error is not None:
            raise InvalidInput("unknown_topic", f"there is no topic {topic}: {about.error.str()}")
        places = [ck.TopicPartition(topic, partition, ck.OFFSET_BEGINNING) for partition in about.partitions]
        consumer.assign(places)
        yield from _until_ends(consumer, Stepping(), len(places), quiet_s)
    except ck.KafkaException as exc:
        raise Unavailable(f"cannot read {topic}: {exc.args[0].str()}") from exc
    finally:
        consumer.close()


def _until_ends(consumer: Any, stepping: Stepping, partitions: int, quiet_s: float) -> Iterator[Record]:
    ended: set[int] = set()
    heard = time.monotonic()
    while len(ended) < partitions:
        messages = consumer.consume(100, 0.2)  # it waits for that many, or that long
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > quiet_s:
            raise Unavailable(f"nothing came from Kafka for {quiet_s:.0f} s")
        for message in messages:
            error = message.error()
            if error is not None and error.code() == ck.KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif not _is_error(message) and message.partition() not in ended:
                yield _record(message)
        yield from stepping.over(consumer, filter(_unreadable, messages))


def _unreadable(message: Any) -> bool:
    error = message.error()
    return error is not None and error.code() in CODES


def _is_error(message: Any) -> bool:
    error = message.error()
    if error is None:
        return False
    if error.fatal():
        raise Unavailable(f"Kafka refuses this consumer: {error}")
    if not _unreadable(message):  # that is told where it is stepped over
        log.warning("kafka_message_error", error=json.dumps(str(error)))
    return True


def _record(message: Any) -> Record:
    return Record(
        message.topic(), message.partition(), message.offset(), message.key(), message.value() or b"",
        _headers(message.headers()), message.timestamp()[1],
    )  # fmt: skip


def _headers(raw: Any) -> Headers:
    return tuple((name, value or b"") for name, value in raw or ())
