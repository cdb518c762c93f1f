"""One suite for the broker ports; the in-memory broker is proven by passing what Kafka passes."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from libs.kernel.errors import Unavailable
from libs.messaging.kafka import KafkaConsumer, KafkaProducer
from libs.messaging.memory import MemoryBroker
from libs.messaging.ports import (
    Consumer,
    DeliveryFailed,
    MessageTooLarge,
    OutgoingRecord,
    Position,
    Producer,
    Record,
    TopicPartition,
)

PARTITIONS = 3
ROOM = 1_048_588  # of a topic nobody has configured
WAIT_SECONDS = 20.0


@dataclass
class Broker:
    """What a test needs of either broker."""

    topic: str
    producer: Callable[[], Producer]
    consumer: Callable[[str], Consumer]


@pytest.fixture(params=["memory", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    topic = f"suite-{uuid.uuid4().hex[:12]}"
    opened: list[Any] = []

    def keep(thing: Any) -> Any:
        opened.append(thing)
        return thing

    if request.param == "memory":
        memory = MemoryBroker({topic: PARTITIONS}, ROOM)
        yield Broker(topic, memory.producer, lambda group: memory.consumer(group, [topic]))
        return
    bootstrap = request.getfixturevalue("stack").kafka_bootstrap
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"max.message.bytes": str(ROOM)}
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result()
    yield Broker(
        topic,
        lambda: keep(KafkaProducer(bootstrap)),
        lambda group: keep(KafkaConsumer(bootstrap, f"{topic}-{group}", [topic])),
    )
    for thing in opened:
        thing.close()


def read(consumer: Consumer, count: int) -> list[Record]:
    """Poll until that many records came, or time is up."""
    found: list[Record] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found) < count and time.monotonic() < deadline:
        found += consumer.poll(100, 0.2)
    return found


def write(broker: Broker, count: int, key: bytes | None = None) -> None:
    records = [OutgoingRecord(broker.topic, key or f"k{i}".encode(), f"v{i}".encode()) for i in range(count)]
    broker.producer().send(records)


def test_a_record_comes_back_with_its_key_value_and_headers(broker: Broker) -> None:
    broker.producer().send([OutgoingRecord(broker.topic, b"key", b"value", (("h", b"1"), ("h", b"2")))])

    (record,) = read(broker.consumer("g"), 1)

    assert (record.key, record.value, record.headers) == (b"key", b"value", (("h", b"1"), ("h", b"2")))
    assert record.header("h") == "2"
    assert record.topic == broker.topic


def test_records_of_one_key_keep_their_order_in_one_partition(broker: Broker) -> None:
    write(broker, 50, key=b"same")

    found = read(broker.consumer("g"), 50)

    assert [r.value for r in found] == [f"v{i}".encode() for i in range(50)]
    assert len({r.partition for r in found}) == 1
    assert [r.offset for r in found] == list(range(50))


def test_a_new_member_continues_after_the_committed_position(broker: Broker) -> None:
    write(broker, 10, key=b"same")
    first = broker.consumer("g")
    place = read(first, 10)[0].place
    first.commit({place: Position(4, "plan")})
    first.close()

    second = broker.consumer("g")

    assert [r.offset for r in read(second, 6)] == [4, 5, 6, 7, 8, 9]
    assert second.committed([place]) == {place: Position(4, "plan")}


def test_what_was_never_committed_has_no_position(broker: Broker) -> None:
    consumer = broker.consumer("g")

    assert consumer.committed([TopicPartition(broker.topic, 0)]) == {}


def test_two_members_of_a_group_share_the_partitions(broker: Broker) -> None:
    first, second = broker.consumer("g"), broker.consumer("g")
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        first.poll(1, 0.1)
        second.poll(1, 0.1)
        if first.assignment() and second.assignment():
            break

    assert len(first.assignment()) + len(second.assignment()) == PARTITIONS
    assert not set(first.assignment()) & set(second.assignment())


def test_two_groups_each_read_everything(broker: Broker) -> None:
    write(broker, 12)

    assert len(read(broker.consumer("g"), 12)) == 12
    assert len(read(broker.consumer("other"), 12)) == 12


def test_a_paused_partition_yields_nothing_until_it_is_resumed(broker: Broker) -> None:
    write(broker, 1, key=b"same")
    consumer = broker.consumer("g")
    place = read(consumer, 1)[0].place
    consumer.pause([place])
    write(broker, 1, key=b"same")

    assert consumer.poll(10, 0.5) == []

    consumer.resume([place])

    assert [r.offset for r in read(consumer, 1)] == [1]


def test_seek_goes_back_to_an_offset(broker: Broker) -> None:
    write(broker, 5, key=b"same")
    consumer = broker.consumer("g")
    place = read(consumer, 5)[0].place

    consumer.seek(place, 2)

    assert [r.offset for r in read(consumer, 3)] == [2, 3, 4]


def test_writing_to_a_topic_that_does_not_exist_fails(broker: Broker) -> None:
    with pytest.raises(DeliveryFailed):
        broker.producer().send([OutgoingRecord(f"{broker.topic}-absent", b"k", b"v")])


def test_a_commit_for_a_partition_that_is_not_held_is_refused(broker: Broker) -> None:
    consumer = broker.consumer("g")
    write(broker, 1)
    read(consumer, 1)
    consumer.close()
    other = broker.consumer("g")

    with pytest.raises(Unavailable):
        other.commit({TopicPartition(broker.topic, PARTITIONS + 5): Position(1)})


def test_what_its_topic_does_not_take_is_named_and_the_others_are_written(broker: Broker) -> None:
    values = [b"a", os.urandom(2 * ROOM), b"b", os.urandom(6 * ROOM), b"c"]  # the last also beyond the client's limit
    with pytest.raises(MessageTooLarge) as refused:
        broker.producer().send([OutgoingRecord(broker.topic, b"k", value) for value in values])
    assert (refused.value.refused, refused.value.reason) == ((1, 3), "too_large")
    assert [r.value for r in read(broker.consumer("g"), 3)] == [b"a", b"b", b"c"]
