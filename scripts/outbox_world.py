"""A throw-away outbox: its schema, its topic, writers that record what they committed, and a relay in a process."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from incidentscope.incident.v1 import incident_events_pb2, incident_pb2
from psycopg import AsyncConnection

from libs.messaging.cloudevents import CloudEvent, decode
from libs.messaging.topics import OUTBOX_POSITIONS, Topic
from libs.storage import outbox

ROOT = Path(__file__).parents[1]
DDL = ROOT / "infra/postgres/incident/0001_outbox_inbox.sql"
RELAY = """
import asyncio, sys
from libs.kernel.clock import SystemClock
from libs.messaging.hanging import HangingWatch, Transactions
from libs.storage.outbox_relay import Relay

async def run(url, schema, bootstrap, *topics):
    watch = HangingWatch(Transactions(bootstrap, topics), SystemClock())
    await asyncio.gather(Relay(url, schema, bootstrap).run(), watch.run())

asyncio.run(run(*sys.argv[1:]))
"""
PARTITIONS = 3
Fact = tuple[str, int]


@dataclass(frozen=True, slots=True)
class OutboxWorld:
    """Names of one throw-away outbox and the servers it lives on."""

    postgres_url: str
    bootstrap: str
    schema: str
    topic: Topic

    async def connect(self) -> AsyncConnection[tuple[object, ...]]:
        """Open a connection that sees the schema."""
        return await AsyncConnection.connect(self.postgres_url, options=f"-c search_path={self.schema}")

    def start_relay(self) -> subprocess.Popen[bytes]:
        """Start a relay process."""
        command = [sys.executable, "-c", RELAY, self.postgres_url, self.schema, self.bootstrap,
                   self.topic.name, OUTBOX_POSITIONS.name]  # fmt: skip
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def committed(self) -> list[Fact]:
        """Return every event that committed."""
        with psycopg.connect(self.postgres_url) as conn:
            rows = conn.execute(f"SELECT key, n FROM {self.schema}.truth ORDER BY key, n").fetchall()
        return [(str(key), int(n)) for key, n in rows]

    def rows_left(self) -> int:
        """Return how many rows the outbox still holds."""
        with psycopg.connect(self.postgres_url) as conn:
            row = conn.execute(f"SELECT count(*) FROM {self.schema}.outbox").fetchone()
        return int(row[0]) if row else 0

    def drop(self) -> None:
        """Remove the schema and the topic."""
        with psycopg.connect(self.postgres_url, autocommit=True) as conn:
            conn.execute(f"DROP SCHEMA {self.schema} CASCADE")
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([self.topic.name])[self.topic.name].result()


def create_world(postgres_url: str, bootstrap: str) -> OutboxWorld:
    """Create a schema with an outbox, and a topic."""
    name = f"outbox_test_{uuid.uuid4().hex[:12]}"
    kinds = (incident_events_pb2.IncidentUpdated,)
    topic = Topic(name.replace("_", "."), "outbox test", "key", "test", (), kinds)
    with psycopg.connect(postgres_url) as conn:
        conn.execute(f"CREATE SCHEMA {name}")
        conn.execute(f"SET LOCAL search_path = {name}")
        conn.execute(DDL.read_text().encode())
        conn.execute("CREATE TABLE truth (key text, n int, PRIMARY KEY (key, n))")
        conn.execute("CREATE TABLE counter (key text PRIMARY KEY, n int NOT NULL)")
    positions = NewTopic(OUTBOX_POSITIONS.name, 1, 1, config=OUTBOX_POSITIONS.config())
    wanted = [NewTopic(topic.name, PARTITIONS, 1), positions]
    admin = AdminClient({"bootstrap.servers": bootstrap})  # its futures fail once it is gone
    for future in admin.create_topics(wanted).values():
        try:
            future.result(30)
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
    return OutboxWorld(postgres_url, bootstrap, name, topic)


def event(key: str, n: int) -> CloudEvent:
    """Return the n-th event of a key."""
    data = incident_events_pb2.IncidentUpdated(incident=incident_pb2.Incident(id=key, version=n))
    return CloudEvent(str(uuid.uuid4()), "/test", datetime.now(UTC), key, "default", data)


async def write_one(conn: AsyncConnection[tuple[object, ...]], topic: Topic, key: str, rng: random.Random) -> None:
    """Count the key up and tell of it in one transaction that may dawdle, and may roll back."""
    async with conn.transaction(force_rollback=rng.random() < 0.25):
        bump = (
            "INSERT INTO counter VALUES (%s, 1) ON CONFLICT (key) DO UPDATE SET n = counter.n + 1 RETURNING counter.n"
        )
        row = await (await conn.execute(bump, (key,))).fetchone()
        n = int(str(row[0])) if row else 0
        await conn.execute("INSERT INTO truth VALUES (%s, %s)", (key, n))
        await asyncio.sleep(rng.choice((0, 0, 0.002, 0.3)))
        await outbox.enqueue(conn, topic, key, event(key, n))
        await asyncio.sleep(rng.choice((0, 0, 0.002, 0.02, 0.3, 1.5 if rng.random() < 0.05 else 0.0)))


async def write_until(world: OutboxWorld, stop: asyncio.Event, keys: Sequence[str], seed: int) -> None:
    """Write until told to stop."""
    rng = random.Random(seed)
    async with await world.connect() as conn:
        await conn.set_autocommit(True)
        while not stop.is_set():
            await write_one(conn, world.topic, rng.choice(keys), rng)


def read_committed(world: OutboxWorld, expected: int, timeout_s: float) -> list[Fact]:
    """Return what a read_committed subscriber sees, in order within each partition; waits for `expected` of them."""
    config = {
        "bootstrap.servers": world.bootstrap, "group.id": uuid.uuid4().hex, "isolation.level": "read_committed",
        "auto.offset.reset": "earliest", "enable.auto.commit": False,
    }  # fmt: skip
    consumer = Consumer(config)
    consumer.assign([TopicPartition(world.topic.name, p, 0) for p in range(PARTITIONS)])
    seen: list[Fact] = []
    deadline = time.monotonic() + timeout_s
    grace = 0
    while time.monotonic() < deadline and grace < 4:  # read on a little: something published twice must show
        messages = consumer.consume(500, 0.25)
        grace = grace + 1 if len(seen) >= expected and not messages else 0
        for message in messages:
            if message.error() is None:
                data: Any = decode(message.headers(), message.value()).data
                seen.append((data.incident.id, data.incident.version))
    consumer.close()
    return seen
