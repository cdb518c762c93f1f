"""Sends numbered telemetry at a rate, and remembers what was acknowledged."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import confluent_kafka as ck

from libs.messaging.kafka import producer_config
from scripts.ingest.numbered import PER_MESSAGE, SIGNALS, Numbered, Signal

TENANT = "default"
Acknowledged = Callable[[Signal, int, int, float], None]  # partition, offset, and when it was handed over


class Sender:
    """A thread that sends all signals evenly, `rate` records a second in sum.

    The producer keeps trying for minutes and is idempotent, so what it took is on the topic once, whatever happens to
    the broker; `failure` is set otherwise.
    """

    def __init__(self, bootstrap: str, rate: int, acknowledged: Acknowledged | None = None) -> None:
        extra = {"delivery.timeout.ms": 300_000, "queue.buffering.max.kbytes": 65536, "log_level": 0}
        self._producer = ck.Producer(producer_config(bootstrap, **extra, error_cb=lambda _: None))
        self._pause_s = PER_MESSAGE * len(SIGNALS) / rate
        self._acknowledged = acknowledged
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender")
        self.numbered = {signal.name: Numbered(signal) for signal in SIGNALS}
        self.minutes: dict[str, Counter[int]] = {signal.name: Counter() for signal in SIGNALS}
        self.failure: str | None = None

    @property
    def records(self) -> int:
        """Return how many records were sent."""
        return sum(numbered.records for numbered in self.numbered.values())

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Stop, and return when all is acknowledged."""
        self._stop.set()
        self._thread.join()
        if left := self._producer.flush(300):
            self.failure = f"{left} messages were never acknowledged"

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set() and self.failure is None:
            for signal in SIGNALS:
                self._send(signal)
            self._producer.poll(0)
            due = max(due + self._pause_s, time.monotonic() - 1.0)  # at most one second to catch up
            self._stop.wait(max(0.0, due - time.monotonic()))

    def _send(self, signal: Signal) -> None:
        now_ns = time.time_ns()
        body = self.numbered[signal.name].next(now_ns)
        handed = time.monotonic()

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self.failure = f"a message was not acknowledged: {error}"
            elif self._acknowledged is not None:
                self._acknowledged(signal, message.partition(), message.offset(), handed)

        while True:
            try:
                headers = [("x-tenant-id", TENANT.encode())]
                self._producer.produce(signal.topic, body, headers=headers, on_delivery=delivered)
                break
            except BufferError:
                self._producer.poll(0.1)
        self.minutes[signal.name][now_ns // 60_000_000_000 * 60] += PER_MESSAGE
