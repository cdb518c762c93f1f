"""The inbox: which events a consumer has already acted on, recorded in the same transaction as the effect."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

_RECORD = "INSERT INTO inbox (consumer, ce_id) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING true"
_FORGET = """WITH gone AS (DELETE FROM inbox WHERE received_at < now() - %s::interval RETURNING 1)
SELECT count(*) FROM gone"""


async def first_time(conn: AsyncConnection[Any], consumer: str, event_id: str) -> bool:
    """Record an event in the current transaction; False when this consumer has recorded it before.

    When another transaction is recording the same event, waits for it and answers by its outcome.
    """
    cursor = await conn.execute(_RECORD, (consumer, event_id))
    return await cursor.fetchone() is not None


async def forget(conn: AsyncConnection[Any], older_than: timedelta) -> int:
    """Delete records older than a duration and return how many; keep them longer than the topics keep their events."""
    cursor = await conn.execute(_FORGET, (older_than,))
    return int((await cursor.fetchone() or (0,))[0])
