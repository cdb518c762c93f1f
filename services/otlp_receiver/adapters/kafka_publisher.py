"""Exports to Kafka: many requests share a round trip, each waits for its own acknowledgement."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Final

import confluent_kafka as ck

from libs.access.tenants import TENANT_HEADER
from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.kafka import producer_config
from services.otlp_receiver.domain import Encoding, Signal

POLL_SECONDS: Final = 0.1
PROBE_SECONDS: Final = 5.0
BUFFER_KILOBYTES: Final = 128 * 1024

Done = tuple[asyncio.Future[None], ck.KafkaError | None]


class KafkaPublisher:
    """Keeps exports on the three topics.

    librdkafka gathers what arrives within a few milliseconds into one request per broker. Its delivery reports come
    on a polling thread and are handed to the event loop together.
    """

    def __init__(self, bootstrap: str, topics: Mapping[Signal, str], delivery_s: float) -> None:
        self._topics = topics
        self._loop = asyncio.get_running_loop()
        self._done: list[Done] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._problem: str | None = "the broker has not answered yet"
        self._producer = ck.Producer(
            producer_config(
                bootstrap,
                **{
                    "delivery.timeout.ms": int(delivery_s * 1000),
                    "queue.buffering.max.kbytes": BUFFER_KILOBYTES,
                },
            )
        )

    def problem(self) -> str | None:
        """Return why the broker can not be written to, or None; a readiness check."""
        return self._problem

    async def publish(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> None:
        """Return once the broker has acknowledged; raises Unavailable, or InvalidInput `too_large`."""
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        headers = [(TENANT_HEADER, tenant.encode()), ("content-type", encoding.encode())]
        try:
            self._producer.produce(
                self._topics[signal],
                body,
                headers=headers,
                on_delivery=lambda error, _message: self._report(acknowledged, error),
            )
        except BufferError as error:
            raise Unavailable("too many exports wait for the broker") from error
        except ck.KafkaException as error:
            raise _translated(error.args[0]) from error
        await acknowledged

    def poll(self) -> None:
        """Collect delivery reports until stopped; for a thread of its own."""
        while not self._stopping.is_set():
            self._producer.poll(POLL_SECONDS)

    async def probe(self) -> None:
        """Ask the broker for its metadata now and then, so that readiness is known without traffic."""
        while True:
            self._problem = await asyncio.to_thread(self._ask)
            await asyncio.sleep(PROBE_SECONDS)

    def stop(self) -> None:
        """End `poll` once what waits has been acknowledged or given up."""
        self._producer.flush(5)
        self._stopping.set()

    def _ask(self) -> str | None:
        try:
            self._producer.list_topics(timeout=3)
        except ck.KafkaException as error:
            return f"the broker does not answer: {error.args[0].str()}"
        return None

    def _report(self, acknowledged: asyncio.Future[None], error: ck.KafkaError | None) -> None:
        with self._lock:
            self._done.append((acknowledged, error))
            first = len(self._done) == 1
        if first:
            self._loop.call_soon_threadsafe(self._hand_over)

    def _hand_over(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        for acknowledged, error in done:
            if acknowledged.done():  # the sender has gone
                continue
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(_translated(error))


def _translated(error: Any) -> Unavailable | InvalidInput:
    if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
        return InvalidInput("too_large", "the export is larger than a message of the broker may be")
    return Unavailable(f"the broker did not acknowledge: {error.str()}")
