"""A transaction left hanging on purpose: found, told, ended, and events go on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from libs.kernel.clock import ManualClock
from libs.kernel.errors import Unavailable
from libs.messaging.hanging import HANGS_AFTER, HangingWatch, OpenTransaction, Transactions
from libs.messaging.ports import OutgoingRecord
from libs.storage.outbox_kafka import KafkaOutbox
from tests.integration.alert_world import unique

VERIFICATION = "transaction.partition.verification.enable"


@pytest.fixture(scope="module")
def unverified(stack: Any) -> Iterator[str]:
    """A broker that takes a transaction's records without asking its coordinator, as brokers before KIP-890 do."""
    admin = AdminClient({"bootstrap.servers": stack.kafka_bootstrap})

    broker = str(next(iter(admin.list_topics(timeout=20).brokers)))

    def alter(operation: AlterConfigOpType) -> None:
        entry = ConfigEntry(VERIFICATION, "false", incremental_operation=operation)
        resource = ConfigResource(ResourceType.BROKER, broker, incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(20)

    alter(AlterConfigOpType.SET)
    yield stack.kafka_bootstrap
    alter(AlterConfigOpType.DELETE)


@pytest.fixture
def topic(unverified: str) -> str:
    name = unique("hanging")
    admin = AdminClient({"bootstrap.servers": unverified})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(20)
    return name


async def hang(bootstrap: str, place: TopicPartition, value: bytes = b"never committed") -> None:
    """Write a record of a transaction that the coordinator was never told of."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([place.topic])
        name = unique("left")
        made = await _producer(client, name)
        batch = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=1, producer_id=made.producer_id,
            producer_epoch=made.producer_epoch, base_sequence=0, batch_size=16384,
        )  # fmt: skip
        batch.append(0, int(time.time() * 1000), b"left/0", value, [])
        topics = [(place.topic, [(place.partition, bytes(batch.build()))])]
        answer = await client.send(client.cluster.leader_for_partition(place), ProduceRequest(name, -1, 10_000, topics))
        ((_, ((_, code, *_),)),) = answer.topics
        assert code == 0
    finally:
        await client.close()


async def _producer(client: AIOKafkaClient, name: str) -> Any:
    """Return the id and epoch of a transactional id; the first question makes the broker create its topic for them."""
    deadline = time.monotonic() + 30
    while True:
        try:
            node = await client.coordinator_lookup(1, name)
            made = await client.send(node, InitProducerIdRequest(name, 15_000))
            if made.error_code == 0:
                return made
        except GroupCoordinatorNotAvailableError:
            pass
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def end(bootstrap: str, topic: str, partition: int, isolation: str = "read_committed") -> int:
    """Return up to which offset subscribers can read."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": unique("g"), "isolation.level": isolation,
        "enable.partition.eof": True,
    })  # fmt: skip
    consumer.assign([Place(topic, partition, 0)])
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            error = message.error() if message is not None else None
            if message is not None and error is not None and error.code() == KafkaError._PARTITION_EOF:
                return int(message.offset() or 0)
    finally:
        consumer.close()
    raise AssertionError("the partition has no end")


def test_a_transaction_that_nobody_ends_is_found_told_and_ended(unverified: str, topic: str) -> None:
    place = TopicPartition(topic, 1)
    asyncio.run(hang(unverified, place))
    assert end(unverified, topic, 1) == 0
    assert end(unverified, topic, 1, "read_uncommitted") == 1

    transactions, clock = Transactions(unverified, [topic]), ManualClock(datetime.now(UTC))
    watch = HangingWatch(transactions, clock)
    asyncio.run(watch.look())
    (found,) = asyncio.run(transactions.opened())
    assert (found.topic, found.partition, found.start_offset) == (topic, 1, 0)
    assert end(unverified, topic, 1) == 0  # it may still be at work

    clock.advance(HANGS_AFTER + timedelta(seconds=1))
    asyncio.run(watch.look())
    assert watch.problem() is None
    assert asyncio.run(transactions.opened()) == []
    assert end(unverified, topic, 1) == 2


def test_an_outbox_held_back_by_it_goes_on_and_nothing_is_lost_or_doubled(unverified: str, topic: str) -> None:
    name, place = unique("box"), TopicPartition("outbox.positions", 0)
    box = KafkaOutbox(unverified, name)
    assert box.open() == {}
    box.publish([OutgoingRecord(topic, b"k", b"1", ())], {0: 1})
    asyncio.run(hang(unverified, place, b"1"))
    box.publish([OutgoingRecord(topic, b"k", b"2", ())], {0: 2})
    transactions = Transactions(unverified, ["outbox.positions", topic])
    clock = ManualClock(datetime.now(UTC) + HANGS_AFTER + timedelta(seconds=30))

    asyncio.run(HangingWatch(transactions, clock).look())

    assert KafkaOutbox(unverified, name).open() == {0: 2}
    assert read(unverified, topic, 2) == [b"1", b"2"]


def test_the_command_lists_what_hangs_and_ends_it(unverified: str, topic: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "scripts.transactions", *arguments, "--topic", topic]
        environment = os.environ | {"KAFKA_BOOTSTRAP": unverified}
        return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=60, check=False)

    asyncio.run(hang(unverified, TopicPartition(topic, 1)))
    listed = run("list").stdout.splitlines()
    assert listed[0].startswith(f"{topic}[1]: transaction of producer ")
    assert listed[-1] == "transactions: open=1 hanging=0"
    assert run("end").stdout.splitlines() == ["transactions: ended=0"]  # it may still be at work
    assert run("end", "--all").stdout.splitlines()[-1] == "transactions: ended=1"
    assert run("list").stdout.splitlines() == ["transactions: open=0 hanging=0"]
    gone = run("list", "--bootstrap", "127.0.0.1:1")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)


class Dumb(Transactions):
    """Transactions of which one hangs that the broker does not let go."""

    async def opened(self) -> list[OpenTransaction]:
        """Return it."""
        return [OpenTransaction("t", 0, 7, 1, 0, 45, datetime(2026, 3, 1, tzinfo=UTC))]

    async def end(self, one: OpenTransaction) -> None:
        """Refuse."""
        raise Unavailable(f"{one.topic} was not let go")


def test_what_cannot_be_ended_is_told_by_the_readiness_check() -> None:
    watch = HangingWatch(Dumb("nowhere", ["t"]), ManualClock(datetime.now(UTC)))
    asyncio.run(watch.look())
    told = "t[0]: transaction of producer 7 (epoch 1) is open since offset 45, last written 2026-03-01 00:00:00 UTC"
    assert watch.problem() == told


def read(bootstrap: str, topic: str, expected: int) -> list[bytes]:
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": unique("g"), "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
    })  # fmt: skip
    consumer.subscribe([topic])
    values, deadline = list[bytes](), time.monotonic() + 30
    while len(values) < expected and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            values.append(message.value() or b"")
    consumer.close()
    return values


def test_transactions_of_a_relay_at_work_are_left_alone(unverified: str, topic: str) -> None:
    box = KafkaOutbox(unverified, unique("box"))
    box.open()
    box.publish([OutgoingRecord(topic, b"k", b"1", ())], {0: 1})
    assert asyncio.run(Transactions(unverified, [topic]).opened()) == []


def test_without_a_broker_nothing_is_told() -> None:
    watch = HangingWatch(Transactions("127.0.0.1:1", ["t"]), ManualClock(datetime.now(UTC)))
    asyncio.run(watch.look())
    assert watch.problem() is None
