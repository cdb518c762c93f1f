"""The outbox: an event is a row that commits together with the change it tells of.

Rows live in table `outbox` of the owner's schema; `outbox_relay` carries them to Kafka. A row belongs to a lane, the
hash of its event key. The writer takes the lane's lock, held until its transaction ends, *before* the row's id is
drawn, so within a lane ids are in commit order: whoever sees id N of a lane has seen every smaller id that will ever
commit. That is what lets the relay remember one number per lane. It needs `synchronous_commit` on (the default): an
event must not be published from a transaction that a crash can still undo.

Nothing notifies the relay: NOTIFY takes a lock on the whole database that is held over the commit's write to disk, so
that writers could only commit one after the other (400 a second where a write takes 2.4 ms). The relay polls.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent, record
from libs.messaging.ports import Headers, OutgoingRecord
from libs.messaging.topics import MAX_MESSAGE_BYTES, Topic

LANES = 16
_ENVELOPE_BYTES = 4096  # room for key, headers and framing under the broker's message limit

# The id is drawn for each row that comes out of `held`, so after the lane's lock was taken.
_INSERT = """WITH held AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('outbox/' || current_schema()), %(lane)s)
) INSERT INTO outbox (lane, topic, key, headers, value)
SELECT %(lane)s::smallint, %(topic)s::text, %(key)s::bytea, %(headers)s::jsonb, %(value)s::bytea FROM held"""


def lane_of(key: bytes) -> int:
    """Return the lane, 0 to LANES - 1, that keeps the events of a key in order."""
    return zlib.crc32(key) % LANES


async def enqueue(conn: AsyncConnection[Any], topic: Topic, key: str, event: CloudEvent) -> None:
    """Add an event to the current transaction; raises ValueError when the topic does not carry its type.

    Raises InvalidInput `too_large` where no message can hold it: who follows a topic puts the cause aside then.

    A transaction with events of several keys should use `enqueue_all` once: locks taken one by one in different
    orders by different transactions can deadlock.
    """
    await enqueue_all(conn, [(topic, key, event)])


async def enqueue_all(conn: AsyncConnection[Any], events: Sequence[tuple[Topic, str, CloudEvent]]) -> None:
    """Add events to the current transaction, published in this order for each key; raises ValueError as `enqueue`."""
    records = [_checked(record(topic, key, event)) for topic, key, event in events]
    for lane, r in sorted(((lane_of(r.key or b""), r) for r in records), key=lambda pair: pair[0]):
        row = {"lane": lane, "topic": r.topic, "key": r.key, "headers": Jsonb(_as_text(r.headers)), "value": r.value}
        await conn.execute(_INSERT, row)


def from_row(topic: str, key: bytes, headers: Sequence[Sequence[str]], value: bytes) -> OutgoingRecord:
    """Return the message a stored row stands for."""
    return OutgoingRecord(topic, bytes(key), bytes(value), tuple((n, v.encode()) for n, v in headers))


def _as_text(headers: Headers) -> list[list[str]]:
    return [[name, value.decode()] for name, value in headers]


def _checked(message: OutgoingRecord) -> OutgoingRecord:
    """Refuse what the broker would refuse for ever: such a row would stop its lane."""
    size = len(message.value) + _ENVELOPE_BYTES
    if size > MAX_MESSAGE_BYTES:
        raise InvalidInput("too_large", f"an event of {len(message.value)} bytes does not fit a Kafka message")
    return message
