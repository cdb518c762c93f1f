"""Transactions that nobody ends any more: found on the partitions themselves, told, and ended (KIP-664).

A broker can be left with an open transaction that its coordinator knows nothing of, so that no time-out ends it. The
last stable offset of the partition then stands still for good, and `read_committed` subscribers with it. What is open
for far longer than any of our transactions may last is such a one; its records were never committed, so an abort marker
loses nothing. https://cwiki.apache.org/confluence/display/KAFKA/KIP-664
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from prometheus_client import Counter

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.messaging.producer_requests import DescribeProducers, EndTransaction

HANGS_AFTER = timedelta(seconds=60)  # ours end after 15 s, and the broker looks for those every 10 s
LOOK_SECONDS = 15.0
CALL_SECONDS = 10.0
FOUND = Counter("incidentscope_hanging_transactions_total", "Transactions that nobody ended, by outcome", ["outcome"])
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A transaction that is open on a partition since `start_offset`; `last_write` is its newest record's time."""

    topic: str
    partition: int
    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    start_offset: int
    last_write: datetime

    def hangs(self, now: datetime) -> bool:
        """Tell whether it is open for longer than any of ours may be."""
        return now - self.last_write > HANGS_AFTER

    def __str__(self) -> str:
        return (
            f"{self.topic}[{self.partition}]: transaction of producer {self.producer_id} (epoch {self.producer_epoch})"
            f" is open since offset {self.start_offset}, last written {self.last_write:%Y-%m-%d %H:%M:%S} UTC"
        )


class Transactions:
    """What is open on topics, asked of the brokers that lead their partitions; `bootstrap` is Kafka's address."""

    def __init__(self, bootstrap: str, topics: Collection[str]) -> None:
        self._bootstrap = bootstrap
        self._topics = sorted(topics)

    async def opened(self) -> list[OpenTransaction]:
        """Return all open transactions; raises Unavailable."""
        async with _Client(self._bootstrap, self._topics) as client:
            found = []
            for node, places in _leaders(client, self._topics).items():
                answer = await _ask(client, node, DescribeProducers(places))
                found += _opened(answer)
            return found

    async def end(self, one: OpenTransaction) -> None:
        """Abort a transaction on its partition; raises Unavailable when the broker does not do it."""
        async with _Client(self._bootstrap, [one.topic]) as client:
            place = TopicPartition(one.topic, one.partition)
            node = client.cluster.leader_for_partition(place)
            request = EndTransaction(place, one.producer_id, one.producer_epoch, one.coordinator_epoch)
            answer = await _ask(client, node, request)
            errors = [
                code for _, topics, _ in answer.markers for _, places, _ in topics for _, code, _ in places if code
            ]
            if errors:
                raise Unavailable(f"{place.topic}[{place.partition}] was not let go: error code {errors[0]}")


class HangingWatch:
    """Looks for hanging transactions every few seconds and ends them; a readiness check tells of what stays."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Return what holds events back, or None."""
        return self._problem

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except Exception as exc:  # a service does its work without this watch, too
                log.error("transactions_watch_failed", error=repr(exc), exc_info=exc)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once. While the broker is away nothing is told: others tell of that."""
        try:
            hanging = [one for one in await self._transactions.opened() if one.hangs(self._clock.now())]
        except Unavailable as exc:
            log.info("transactions_not_seen", error=str(exc))
            return
        left = [one for one in hanging if not await self._end(one)]
        self._problem = str(left[0]) if left else None

    async def _end(self, one: OpenTransaction) -> bool:
        """End one; return whether that worked."""
        try:
            await self._transactions.end(one)
        except Unavailable as exc:
            FOUND.labels("not_ended").inc()
            log.error("hanging_transaction", transaction=str(one), outcome="not_ended", error=str(exc))
            return False
        FOUND.labels("ended").inc()
        log.warning("hanging_transaction", transaction=str(one), outcome="ended")
        return True


class _Client:
    """An aiokafka client for one use; raises Unavailable where there is no broker, or topics have no leader."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=int(CALL_SECONDS * 1000))
        self._topics = topics

    async def __aenter__(self) -> Any:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.bootstrap()
                await self._client.set_topics(self._topics)
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._client.close()
            raise Unavailable(f"the broker does not answer: {exc!r}") from exc
        return self._client

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


def _leaders(client: Any, topics: Sequence[str]) -> dict[int, list[TopicPartition]]:
    places: dict[int, list[TopicPartition]] = {}
    for topic in topics:
        for partition in sorted(client.cluster.partitions_for_topic(topic) or ()):
            place = TopicPartition(topic, partition)
            node = client.cluster.leader_for_partition(place)
            if node is not None and node >= 0:
                places.setdefault(node, []).append(place)
    return places


async def _ask(client: Any, node: int | None, request: Any) -> Any:
    try:
        async with asyncio.timeout(CALL_SECONDS):
            return await client.send(node, request)
    except (KafkaError, OSError, TimeoutError, NotImplementedError) as exc:
        raise Unavailable(f"the broker does not say what is open: {exc!r}") from exc


def _opened(answer: Any) -> list[OpenTransaction]:
    found = []
    for topic, partitions, _tags in answer.topics:
        for index, _code, _message, producers, _partition_tags in partitions:
            for producer_id, epoch, _sequence, written, coordinator, start, _producer_tags in producers:
                if start >= 0:
                    at = datetime.fromtimestamp(written / 1000, UTC)
                    found.append(OpenTransaction(topic, index, producer_id, epoch, max(coordinator, 0), start, at))
    return found
