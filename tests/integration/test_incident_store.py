"""The use cases over real Postgres, where two processes meet at the same rows."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from libs.kernel.clock import SystemClock
from libs.kernel.errors import InvalidInput
from libs.storage import inbox
from libs.storage.migrate import migrate_postgres
from libs.storage.postgres import Pool, open_pool, transaction
from services.incident_service.adapters.postgres_store import PostgresStore
from services.incident_service.domain.alert_group import Alert, AlertGroup, Flush
from services.incident_service.domain.analysis import Analysis, Conclusion
from services.incident_service.domain.listing import Listing
from services.incident_service.domain.model import Reason, Severity
from services.incident_service.handlers.events import Events
from tests.integration.incident_world import ROOT

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def postgres_url(stack: Any) -> str:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    return str(stack.postgres_url)


def with_pool(url: str, story: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        pool = await open_pool(url, "incident")
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def flushed(key: str, *services: str) -> AlertGroup:
    alerts = [Alert(f"fp-{s}", "Down", s, Severity.MAJOR, True, NOW) for s in services]
    return AlertGroup("default", key, {}, Flush.FIRST_NOTIFICATION, alerts)


def test_two_processes_with_the_same_group_open_one_incident(postgres_url: str) -> None:
    async def story(pool: Pool) -> tuple[list[Reason | None], int]:
        incidents = Events(PostgresStore(pool), SystemClock())
        key = uuid.uuid4().hex
        flushes = [incidents.on_alert_group(str(uuid.uuid4()), flushed(key, f"s{n}")) for n in range(2)]
        reasons = await asyncio.gather(*flushes)
        found = await PostgresStore(pool).listed("default", Listing(), 500, None)
        return list(reasons), len([i for i in found if i.group_key == key])

    for _ in range(10):
        reasons, opened = with_pool(postgres_url, story)
        assert sorted(str(r) for r in reasons) == ["alerts_changed", "opened_by_alerts"]
        assert opened == 1


def test_an_event_handled_by_two_processes_at_once_acts_once(postgres_url: str) -> None:
    async def story(pool: Pool) -> list[Reason | None]:
        incidents = Events(PostgresStore(pool), SystemClock())
        group, event_id = flushed(uuid.uuid4().hex, "a"), str(uuid.uuid4())
        return list(await asyncio.gather(*(incidents.on_alert_group(event_id, group) for _ in range(4))))

    reasons = with_pool(postgres_url, story)
    assert sorted(str(r) for r in reasons) == ["None", "None", "None", "opened_by_alerts"]


def test_a_failed_effect_leaves_the_event_unrecorded(postgres_url: str) -> None:
    async def story(pool: Pool) -> bool:
        incidents = Events(PostgresStore(pool), SystemClock())
        unknown = Analysis(str(uuid.uuid4()), 1, Conclusion(), "", 0, (), NOW)
        event_id = str(uuid.uuid4())
        with pytest.raises(InvalidInput, match="no incident"):
            await incidents.on_analysis(event_id, "default", unknown, b"")
        async with transaction(pool, "default") as conn:
            return await inbox.first_time(conn, "incident_service", event_id)

    assert with_pool(postgres_url, story) is True


def test_a_very_long_group_key_is_kept_and_found(postgres_url: str) -> None:
    key = "k" * 20_000 + uuid.uuid4().hex

    async def story(pool: Pool) -> list[Reason | None]:
        incidents = Events(PostgresStore(pool), SystemClock())
        return [await incidents.on_alert_group(str(uuid.uuid4()), flushed(key, s)) for s in ("a", "b")]

    assert with_pool(postgres_url, story) == [Reason.OPENED_BY_ALERTS, Reason.ALERTS_CHANGED]


def test_old_inbox_records_are_forgotten(postgres_url: str) -> None:
    async def story(pool: Pool) -> tuple[int, bool]:
        event_id = str(uuid.uuid4())
        async with transaction(pool, "default") as conn:
            values = ("test", event_id)
            await conn.execute("INSERT INTO inbox VALUES (%s, %s, now() - interval '200 days')", values)
            forgotten = await inbox.forget(conn, timedelta(days=100))
            return forgotten, await inbox.first_time(conn, "test", event_id)

    assert with_pool(postgres_url, story) == (1, True)
