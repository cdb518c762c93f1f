"""Faust as a thin adapter: decode an event, call a handler, acknowledge.

At least once: a message is acknowledged when its handler has returned, so handlers are idempotent. What can never be
read goes to the dead-letter topic; anything else that fails is tried again, and its partition waits.

Four things faust does that this module works around, each tried against a broker: it acknowledges a message even when
the agent's body raises; after such an error it goes on with the next message; it reads aborted transactions unless
`exactly_once` is on; and it notices a killed member only after a minute.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client import Counter, Histogram

from libs.kernel.errors import InvalidInput, Unavailable
from libs.messaging.cloudevents import CloudEvent, decode
from libs.messaging.dlq import DeadLetters
from libs.messaging.ports import Record
from libs.messaging.topics import Topic

if TYPE_CHECKING:
    from libs.runtime.lifecycle import Lifecycle

log = structlog.get_logger()
Handler = Callable[[CloudEvent], Awaitable[None]]
FIRST_RETRY_SECONDS = 0.2
MAX_RETRY_SECONDS = 15.0
STUCK_AFTER_ATTEMPTS = 5  # readiness turns bad from here on
HANDLED = Counter("incidentscope_events_total", "Events handled", ["topic", "outcome"])
SECONDS = Histogram("incidentscope_event_handler_seconds", "Time spent in a handler", ["topic"])


def build_app(service: str, bootstrap: str) -> Any:
    """Return a faust app that reads committed messages at least once, with no web server and no state of its own.

    Call it inside the loop the app shall run in.
    """
    import faust

    app = faust.App(
        service,
        broker=f"kafka://{bootstrap}",
        store="memory://",
        datadir=tempfile.gettempdir(),  # faust makes a folder there even for a store in memory
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.5,
        broker_session_timeout=10.0,
        broker_rebalance_timeout=20.0,
        broker_heartbeat_interval=3.0,
        stream_wait_empty=False,  # at stop, drop what is in flight: it was not acknowledged and comes again
        loop=asyncio.get_running_loop(),
    )
    app.transport = _committed_only(app)
    return app


def _committed_only(app: Any) -> Any:
    """Return a transport that hides aborted transactions; faust ties that to its `exactly_once` mode."""
    from faust.transport.drivers import aiokafka as driver

    class Thread(driver.AIOKafkaConsumerThread):
        def _create_worker_consumer(self, transport: Any) -> Any:
            consumer = super()._create_worker_consumer(transport)
            consumer._isolation_level = "read_committed"
            return consumer

    class Consumer(driver.Consumer):
        def _new_consumer_thread(self) -> Any:
            return Thread(self, loop=self.loop, beacon=self.beacon)

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport(app.conf.broker_consumer, app, loop=app.loop)


class Subscription:
    """Feeds one handler from one topic."""

    def __init__(self, topic: Topic, handler: Handler, dead_letters: DeadLetters) -> None:
        self._topic = topic
        self._handler = handler
        self._dead_letters = dead_letters
        self._stuck: str | None = None

    def problem(self) -> str | None:
        """Return None when messages flow, else what keeps one from being handled; a readiness check."""
        return self._stuck

    async def consume(self, record: Record) -> None:
        """Handle one message until it has an outcome: handled, or written to the dead-letter topic."""
        attempt = 0
        while True:
            try:
                await self._once(record)
            except asyncio.CancelledError:
                raise
            except Exception as exc:
                attempt += 1
                await self._wait(record, attempt, exc)
            else:
                self._stuck = None
                return

    async def _once(self, record: Record) -> None:
        try:
            with SECONDS.labels(record.topic).time():
                await self._handler(decode(record.headers, record.value))
            HANDLED.labels(record.topic, "ok").inc()
        except InvalidInput as exc:
            await asyncio.to_thread(self._dead_letters.send, record, exc.reason, str(exc))
            HANDLED.labels(record.topic, "dead_letter").inc()

    async def _wait(self, record: Record, attempt: int, error: Exception) -> None:
        HANDLED.labels(record.topic, "retry").inc()
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        expected = isinstance(error, Unavailable)
        log.warning("event_retry", **place, attempt=attempt, error=repr(error), exc_info=None if expected else error)
        if attempt >= STUCK_AFTER_ATTEMPTS:
            self._stuck = f"{record.topic}[{record.partition}]@{record.offset} fails: {error}"
        await asyncio.sleep(min(MAX_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(attempt, 10)))


def subscribe(app: Any, topic: Topic, handler: Handler, dead_letters: DeadLetters) -> Subscription:
    """Feed a handler from a topic through an agent of the app; call before start_faust."""
    subscription = Subscription(topic, handler, dead_letters)
    source = app.topic(topic.name, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            await subscription.consume(_record(event.message))
            event.ack()

    app.agent(source, name=f"{app.conf.id}.{topic.name}")(agent)
    return subscription


def _record(message: Any) -> Record:
    headers = message.headers or ()
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value or b"",
        tuple((name, value or b"") for name, value in pairs),
        int((message.timestamp or 0) * 1000),
    )


def on_assignment(app: Any, revoked: Callable[[], None], assigned: Callable[[], None]) -> None:
    """Call back when partitions are taken from the app and when its share is assigned; call before start_faust."""

    async def on_revoked(_app: Any, _partitions: Any, **_more: Any) -> None:
        revoked()

    async def on_assigned(_app: Any, _partitions: Any, **_more: Any) -> None:
        assigned()

    app.on_partitions_revoked.connect(on_revoked)
    app.on_partitions_assigned.connect(on_assigned)


async def start_faust(lifecycle: Lifecycle, app: Any, *subscriptions: Subscription) -> None:
    """Run the app inside the current loop until the lifecycle ends; a crash of the app stops the process."""
    for number, subscription in enumerate(subscriptions):
        lifecycle.health.check(f"subscription-{number}", subscription.problem)
    await app.start()
    lifecycle.push(app.stop, "faust")
    lifecycle.background("faust-watch", lambda: _watch(app))


async def _watch(app: Any) -> None:
    await app._crashed.wait()  # faust tells nobody else
    raise Unavailable(f"faust stopped: {app._crash_reason!r}")
