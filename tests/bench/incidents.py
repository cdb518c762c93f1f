"""How fast incidents are written and told: `python -m tests.bench.incidents`.

Starts a broker, Postgres and incident_service as a process. First gRPC clients offer a fixed rate of writes (a third
opens an incident, the others acknowledge it or add a note), each sent when it is due whether or not earlier ones
were answered, and latency counts from when it was due. Then the same clients write as fast as they are answered. A
`read_committed` subscriber measures, for every event, from the decision's time (`ce_time`, before the commit) to its
arrival. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil
from incidentscope.incident.v1 import incident_pb2, incident_service_pb2, incident_service_pb2_grpc

from libs.messaging.kafka import KafkaConsumer
from libs.messaging.topics import INCIDENTS_EVENTS
from tests import servers
from tests.integration.incident_world import IncidentWorld, as_tenant, incident_service

WARM_UP_SECONDS = 3.0
SETTLE_SECONDS = 30.0  # for the last events to arrive
TENANT = as_tenant("default")


@dataclass
class Client:
    """One gRPC connection that writes; an incident it opened is acknowledged and noted by its next writes."""

    stub: Any
    open_ids: list[str] = field(default_factory=list)
    writes: int = 0
    refused: int = 0

    async def write(self) -> None:
        """Do the next write."""
        step = self.writes % 3
        self.writes += 1
        try:
            if step == 0 or not self.open_ids:
                await self._open()
            elif step == 1:
                taken = incident_service_pb2.AcknowledgeIncidentRequest(id=self.open_ids[-1], actor="bench")
                await self.stub.AcknowledgeIncident(taken, metadata=TENANT, timeout=20)
            else:
                note = incident_service_pb2.AddNoteRequest(id=self.open_ids[-1], actor="bench", text="looking")
                await self.stub.AddNote(note, metadata=TENANT, timeout=20)
        except grpc.aio.AioRpcError as error:
            self.refused += 1
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    async def _open(self) -> None:
        request = incident_service_pb2.OpenIncidentRequest(
            title="bench", severity=incident_pb2.INCIDENT_SEVERITY_MINOR, services=["bench"], actor="bench"
        )
        answer = await self.stub.OpenIncident(request, metadata=TENANT, timeout=20)
        self.open_ids[:] = [answer.incident.id]


class Subscriber:
    """Counts committed events and how late each arrived, in a thread."""

    def __init__(self, bootstrap: str) -> None:
        self.delays: list[float] = []
        self._stopping = threading.Event()
        self._consumer = KafkaConsumer(bootstrap, f"bench-{uuid.uuid4().hex}", [INCIDENTS_EVENTS.name])
        self._consumer.poll(1, 5.0)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stopping.is_set():
            for record in self._consumer.poll(500, 0.02):
                made = datetime.fromisoformat(str(record.header("ce_time")))
                self.delays.append((datetime.now(UTC) - made).total_seconds())
        self._consumer.close()

    def settle(self) -> None:
        """Wait until no more events come."""
        deadline = time.monotonic() + SETTLE_SECONDS
        seen = -1
        while seen != len(self.delays) and time.monotonic() < deadline:
            seen = len(self.delays)
            time.sleep(1.5)

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join(10)


@asynccontextmanager
async def clients(target: str, count: int) -> AsyncIterator[list[Client]]:
    """Open that many connections of their own."""
    alone = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(target, options=alone) for _ in range(count)]
    try:
        yield [Client(incident_service_pb2_grpc.IncidentServiceStub(channel)) for channel in channels]
    finally:
        for channel in channels:
            await channel.close(None)


async def offer(found: Sequence[Client], rate: float, seconds: float) -> list[float]:
    """Write at a fixed rate in all; return the seconds each write took from when it was due."""
    begun = time.monotonic()
    taken: list[float] = []

    async def one(client: Client, number: int) -> None:
        for turn in range(int(seconds * rate / len(found))):
            due = begun + (turn * len(found) + number) / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await client.write()
            taken.append(time.monotonic() - due)

    await asyncio.gather(*(one(client, number) for number, client in enumerate(found)))
    return taken


async def press(found: Sequence[Client], seconds: float) -> float:
    """Write as fast as answers come; return writes per second."""
    end = time.monotonic() + seconds
    before = sum(client.writes for client in found)

    async def one(client: Client) -> None:
        while time.monotonic() < end:
            await client.write()

    await asyncio.gather(*(one(client) for client in found))
    return (sum(client.writes for client in found) - before) / seconds


async def measure(asked: argparse.Namespace, world: IncidentWorld, subscriber: Subscriber) -> dict[str, object]:
    """Run both parts; returns the figures."""
    service = psutil.Process(world.pid)
    async with clients(world.target, asked.clients) as found:
        await offer(found, asked.rate, WARM_UP_SECONDS)
        await asyncio.to_thread(subscriber.settle)
        first = len(subscriber.delays)
        say(f"offering {asked.rate:.0f} writes/s for {asked.seconds:.0f} s from {asked.clients} clients")
        cpu = _cpu_seconds(service)
        taken = await offer(found, asked.rate, asked.seconds)
        await asyncio.to_thread(subscriber.settle)
        cpu = _cpu_seconds(service) - cpu
        delays = subscriber.delays[first:]
        say(f"writing as fast as answers come for {asked.seconds:.0f} s")
        begun, before = time.monotonic(), len(subscriber.delays)
        highest = await press(found, asked.seconds)
        told = (len(subscriber.delays) - before) / (time.monotonic() - begun)
        await asyncio.to_thread(subscriber.settle)
    pressed = subscriber.delays[before:]
    return {
        "bench": "incidents", "clients": asked.clients, "offered_per_s": asked.rate, "writes": len(taken),
        "p50_ms": _milliseconds(taken, 50), "p95_ms": _milliseconds(taken, 95), "p99_ms": _milliseconds(taken, 99),
        "events": len(delays), "delay_p50_ms": _milliseconds(delays, 50), "delay_p99_ms": _milliseconds(delays, 99),
        "highest_writes_per_s": round(highest), "events_per_s_at_highest": round(told),
        "service_cpu_ms_per_write": round(1000 * cpu / len(taken), 2),
        "delay_p99_ms_at_highest": _milliseconds(pressed, 99), "refused": sum(c.refused for c in found),
    }  # fmt: skip


def _cpu_seconds(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _milliseconds(seconds: Sequence[float], percentile: float) -> float:
    return round(1000 * float(np.percentile(seconds, percentile)), 1)


def say(text: str) -> None:
    """Print a line of progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the bench; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=300.0, help="offered writes per second")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each part")
    asked = parser.parse_args()
    if asked.rate <= 0 or asked.clients < 1 or asked.seconds * asked.rate < asked.clients:
        parser.error("the rate and the clients must be positive, and every client must get a write")
    kind, why = servers.choose(os.environ)
    say(f"servers: {kind} ({why})")
    with (
        servers.running(kind, lambda: contextlib.redirect_stdout(sys.stderr)) as found,
        tempfile.TemporaryDirectory() as folder,
        incident_service(found.postgres_url, found.kafka_bootstrap, Path(folder), found.postgres_service_url) as world,
    ):
        subscriber = Subscriber(found.kafka_bootstrap)
        figures = asyncio.run(measure(asked, world, subscriber))
        subscriber.stop()
    print(json.dumps(figures))
    return 0 if float(str(figures["p95_ms"])) < 25 and float(str(figures["delay_p99_ms"])) < 500 else 1


if __name__ == "__main__":
    sys.exit(main())
