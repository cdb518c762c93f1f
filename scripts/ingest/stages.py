"""One stage of the ingest bench, run in a process of its own: decoding alone, or a whole consumer.

A consumer is the real batch loop: messages as the Kafka client hands them over, tenants, batches, decoding, hash and
plan, and the insert over HTTP to a socket whose other end, in another process, reads and throws away. What is not
in it: librdkafka's own threads, and the database.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from libs.access.tenants import TENANT_HEADER, TenantRegistry
from libs.messaging.batch_metrics import BatchMetrics
from libs.messaging.batches import BatchLoop
from libs.messaging.ports import Position, Record, TopicPartition
from libs.otlp.batch import PROTOBUF, Decode, DecodedBatch, Message
from libs.otlp.columnar import VERSION
from libs.otlp.walk import decode
from libs.runtime.ingest import with_tenants
from libs.storage.clickhouse import ClickHouse
from libs.storage.table_sink import TableSink
from scripts.ingest.corpus import SIGNALS
from scripts.otlp.differential import COMPILED

ROUNDS: Final = 5
BATCH_BYTES: Final = 8 * 1024 * 1024
TENANT: Final = "default"
HEADERS: Final = ((TENANT_HEADER, TENANT.encode()), ("content-type", PROTOBUF.encode()))
PLACE: Final = TopicPartition("otel.bench", 0)


@dataclass(slots=True)
class Meter:
    """CPU seconds, records and bytes of whole batches, cut into rounds. The first batch only starts the clock."""

    seconds: float
    rows: int = 0
    size: int = 0
    marks: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, rows: int, size: int) -> None:
        """Count a batch that is done."""
        self.rows += rows
        self.size += size
        now = time.process_time()
        if not self.marks or now - self.marks[-1][0] >= self.seconds / ROUNDS:
            self.marks.append((now, self.rows, self.size))

    def done(self) -> bool:
        """Return whether the last round is over."""
        return len(self.marks) > ROUNDS

    def rates(self) -> list[tuple[float, float]]:
        """Return records and megabytes of messages per CPU-second of each round; what was drained later is none."""
        pairs = zip(self.marks, self.marks[1 : ROUNDS + 1], strict=False)
        return [((r - q) / (t - s), (b - a) / (t - s) / 1e6) for (s, q, a), (t, r, b) in pairs]


def run(signal: str, stage: str, messages: Sequence[bytes], seconds: float) -> str:
    """Return as JSON the rates of each round, and the peak resident memory of this process in MiB."""
    meter = Meter(seconds)
    if stage == "decode":
        _decode(signal, messages, meter)
    else:
        _consume(signal, stage, messages, meter)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return json.dumps({"rates": meter.rates(), "peak_mib": peak})


def _decode(signal: str, messages: Sequence[bytes], meter: Meter) -> None:
    decoder = COMPILED[signal]
    batches: list[list[Message]] = [[]]
    size = 0
    for offset, body in enumerate(messages):
        if size + len(body) > BATCH_BYTES and batches[-1]:
            batches.append([])
            size = 0
        batches[-1].append(Message(body, TENANT, *_place(), offset, _now_ms(), PROTOBUF))
        size += len(body)
    decoder(batches[0])
    while True:
        for batch in batches:
            if meter.done():
                return
            meter.add(decoder(batch).rows, sum(len(message.value) for message in batch))


def _place() -> tuple[str, int]:
    return PLACE.topic, PLACE.partition


def _now_ms() -> int:
    return int(time.time() * 1000)


class Endless:
    """A partition that never ends: the same messages again and again, at new offsets."""

    def __init__(self, messages: Sequence[bytes], finished: Callable[[], bool], stop: Callable[[], None]) -> None:
        self._messages = messages
        self._finished = finished
        self._stop = stop
        self._next = 0

    def poll(self, max_records: int, timeout_s: float) -> list[Record]:  # noqa: ARG002
        """Return the next messages as fresh objects, as the Kafka client makes them."""
        if self._finished():
            self._stop()
            return []
        first, now, pool = self._next, _now_ms(), self._messages
        self._next += max_records
        return [
            Record(*_place(), offset, None, pool[offset % len(pool)], tuple(HEADERS), now)
            for offset in range(first, self._next)
        ]

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Forget it."""

    def committed(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, Position]:  # noqa: ARG002
        """Return nothing: the group is new."""
        return {}

    def assignment(self) -> list[TopicPartition]:
        """Return the one partition."""
        return [PLACE]

    def pause(self, places: Sequence[TopicPartition]) -> None:
        """Never asked for: nothing fails."""

    def resume(self, places: Sequence[TopicPartition]) -> None:
        """Never asked for."""

    def seek(self, place: TopicPartition, offset: int) -> None:  # noqa: ARG002
        """Go on from an offset."""
        self._next = offset

    def lag(self) -> dict[TopicPartition, int]:
        """Return no lag."""
        return {PLACE: 0}

    def close(self) -> None:
        """Nothing is held."""


class MeteredSink(TableSink):
    """The real insert, with a count of what went through it."""

    def __init__(self, clickhouse: ClickHouse, table: str, meter: Meter) -> None:
        super().__init__(clickhouse, table)
        self._meter = meter
        self.size = 0  # of the messages of the batch at hand

    def problem(self) -> str | None:
        """Return None: there is no table."""
        return None

    def write(self, batch: DecodedBatch, token: str) -> None:
        """Insert and count."""
        super().write(batch, token)
        self._meter.add(batch.rows, self.size)


class NoLetters:
    """Dead letters of messages that are all good."""

    def send_all(self, rejections: Sequence[object]) -> None:
        """Raise: a bench of refused messages measures something else."""
        raise ValueError(f"{len(rejections)} messages were refused")


def _consume(signal: str, stage: str, messages: Sequence[bytes], meter: Meter) -> None:
    shape = SIGNALS[signal]
    decoder: Decode = COMPILED[signal]
    if stage == "consumer":
        COMPILED[signal].warm_up()
    else:
        decoder = partial(decode, shape)
    ready, port = multiprocessing.Event(), multiprocessing.Value("i", 0)
    server = multiprocessing.Process(target=_swallow, args=(ready, port), daemon=True)
    server.start()
    ready.wait(30)
    clickhouse = ClickHouse(f"clickhouse://default@127.0.0.1:9/bench?http_port={port.value}")
    with tempfile.TemporaryDirectory() as folder:
        tenants = Path(folder, "tenants.json")
        tenants.write_text(json.dumps({"tenants": [{"id": TENANT, "api_keys_sha256": []}]}))
        decode_records = with_tenants(decoder, TenantRegistry(tenants, "", False), "")

        sink = MeteredSink(clickhouse, "bench", meter)

        def counted(records: Sequence[Record]) -> DecodedBatch:
            sink.size = sum(len(record.value) for record in records)
            return decode_records(records)

        def finish() -> None:
            loop.stop()

        loop = BatchLoop(
            lambda _forget: Endless(messages, meter.done, finish),
            counted,
            VERSION,
            sink,
            NoLetters(),
            BatchMetrics("bench", CollectorRegistry()),
        )
        loop.run()
    clickhouse.close()
    server.kill()


def _swallow(ready: object, port: object) -> None:
    """Answer every HTTP request with 200 once its body has been read."""
    listener = socket.create_server(("127.0.0.1", 0))
    port.value = listener.getsockname()[1]  # type: ignore[attr-defined]
    ready.set()  # type: ignore[attr-defined]
    space = bytearray(1024 * 1024)
    connection, _ = listener.accept()
    while _read_request(connection, space):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _read_request(connection: socket.socket, space: bytearray) -> bool:
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(65536)
        if not got:
            return False
        head += got
    head, _, rest = head.partition(b"\r\n\r\n")
    sizes = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    left = sizes[0] - len(rest)
    while left > 0:
        count = connection.recv_into(space, min(left, len(space)))
        if not count:
            return False
        left -= count
    return True
