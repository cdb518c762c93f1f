"""Lists of incidents over real Postgres: filters, search and pages, held against the same in Python."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from libs.kernel.ids import uuid7
from libs.storage.migrate import migrate_postgres
from libs.storage.postgres import Pool, open_pool, transaction
from services.incident_service.adapters import postgres_rows as rows
from services.incident_service.adapters.postgres_listing import select
from services.incident_service.adapters.postgres_store import PostgresStore
from services.incident_service.domain.listing import Listing, Place, Sort
from services.incident_service.domain.model import Incident, Severity, Status
from tests.integration.incident_world import ROOT

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
TITLES = ("checkout: errors", "Search is SLOW", "100% of_all fail", "queue \\ full", "nothing")
SERVICES = (("checkout",), ("search", "index"), (), ("payments", "checkout"))
ANALYSIS = """INSERT INTO analysis (tenant_id, incident_id, version, cause_service, cause_kind, event, cause)
VALUES (%s, %s, %s, %s, %s, %s, %s)"""
NOTE = "INSERT INTO timeline (tenant_id, incident_id, id, kind, occurred_at, actor, source, text, url) "


@dataclass(frozen=True, slots=True)
class Kept:
    """A tenant's incidents, and the note on each."""

    tenant: str
    incidents: tuple[Incident, ...]
    notes: dict[str, str]
    causes: dict[str, str]

    def expected(self, wanted: Listing) -> list[str]:
        """Return the ids of a listing, worked out in Python."""
        found = [i for i in self.incidents if self._wanted(wanted, i)]
        found.sort(key=lambda i: (getattr(i, wanted.sort.value), i.id), reverse=not wanted.ascending)
        return [i.id for i in found]

    def _wanted(self, wanted: Listing, incident: Incident) -> bool:
        cause = self.causes.get(incident.id, "")
        said = [cause, incident.title, incident.summary, *incident.services, self.notes.get(incident.id, "")]
        return (
            (not wanted.statuses or incident.status in wanted.statuses)
            and (not wanted.severities or incident.severity in wanted.severities)
            and (not wanted.services or bool(set(wanted.services) & {cause, *incident.services}))
            and (wanted.since is None or incident.opened_at >= wanted.since)
            and (wanted.until is None or incident.opened_at < wanted.until)
            and all(
                any(w.lower() in text.lower() for text in said) or (len(w) >= 8 and incident.id.startswith(w.lower()))
                for w in wanted.words
            )
        )


def made(dice: random.Random, tenant: str, minute: int) -> Incident:
    opened = NOW + timedelta(minutes=minute // 3)  # three at a time
    status = dice.choice(list(Status))
    return Incident(
        id=uuid7(opened), tenant=tenant, title=dice.choice(TITLES), status=status,
        severity=dice.choice(list(Severity)), services=dice.choice(SERVICES), group_key="", started_at=opened,
        opened_at=opened, changed_at=dice.choice([None, NOW + timedelta(minutes=dice.randrange(40))]),
        summary=dice.choice(["", "Köln data centre"]), resolved_at=opened if status.over else None,
        closed_at=opened if status is Status.CLOSED else None,
    )  # fmt: skip


def with_pool(url: str, story: Callable[[Pool], Awaitable[T]]) -> T:
    async def run() -> T:
        pool = await open_pool(url, "incident")
        try:
            return await story(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def postgres_url(stack: Any) -> str:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    return str(stack.postgres_service_url)


@pytest.fixture(scope="module")
def kept(postgres_url: str) -> Kept:
    dice, tenant = random.Random(14), f"lists-{uuid.uuid4().hex[:8]}"
    incidents = tuple(made(dice, tenant, n) for n in range(60))
    notes = {i.id: "Rolled back v2.31" for i in dice.sample(incidents, 12)}
    causes = {i.id: "kafka" for i in dice.sample(incidents, 9)}

    async def story(pool: Pool) -> None:
        for incident in (*incidents, replace(made(dice, "somebody-else", 0), title=TITLES[0])):
            async with transaction(pool, incident.tenant) as conn:
                await conn.execute(rows.INSERT_INCIDENT, rows.incident_values(incident))
                if incident.id in notes:
                    values = (
                        incident.tenant,
                        incident.id,
                        uuid7(NOW),
                        "note",
                        NOW,
                        "ann",
                        "grpc",
                        notes[incident.id],
                        "",
                    )
                    await conn.execute(f"{NOTE} VALUES ({', '.join(['%s'] * 9)})", values)
                for version, cause in enumerate(("zookeeper", causes[incident.id]) if incident.id in causes else (), 1):
                    named = (incident.tenant, incident.id, version, cause, "x", b"", "broker is full")
                    await conn.execute(ANALYSIS, named)

    with_pool(postgres_url, story)
    return Kept(tenant, incidents, notes, causes)


async def pages(store: PostgresStore, tenant: str, wanted: Listing, size: int) -> list[str]:
    """Return the ids of a listing, read page by page."""
    found: list[str] = []
    after: Place | None = None
    while True:
        page = await store.listed(tenant, wanted, size, after)
        found += [i.id for i in page]
        if len(page) < size:
            return found
        after = wanted.place_of(page[-1])


FILTERS: list[dict[str, Any]] = [
    {},
    {"statuses": (Status.OPEN, Status.CLOSED)},
    {"severities": (Severity.CRITICAL, Severity.UNSPECIFIED)},
    {"services": ("checkout", "index")},
    {"since": NOW + timedelta(minutes=5), "until": NOW + timedelta(minutes=11)},
    {"words": ("CHECKOUT",)},
    {"words": ("slow", "index")},
    {"words": ("rolled", "v2.31")},
    {"words": ("Kafka",)},
    {"words": ("zookeeper",)},  # what an older analysis named
    {"services": ("kafka", "index")},
    {"services": ("zookeeper",)},
    {"words": ("köln",)},
    {"words": ("100%",)},
    {"words": ("of_all",)},
    {"words": ("o_a",)},
    {"words": ("%",)},
    {"words": ("\\",)},
    {"words": ("'; DROP TABLE incident; --",)},
    {"words": ("errors",), "services": ("payments",), "statuses": (Status.OPEN, Status.RESOLVED, Status.CLOSED)},
]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_every_filter_in_every_order_lists_each_incident_once(
    postgres_url: str, kept: Kept, filters: dict[str, Any]
) -> None:
    async def story(pool: Pool) -> None:
        store = PostgresStore(pool)
        for sort, ascending, size in itertools.product(Sort, (False, True), (4, 61)):
            wanted = Listing(**filters, sort=sort, ascending=ascending)
            found = await pages(store, kept.tenant, wanted, size)
            assert found == kept.expected(wanted), (wanted, size)

    with_pool(postgres_url, story)
    assert filters == {} or len(kept.expected(Listing(**filters))) < 60


def test_an_incident_is_found_by_the_beginning_of_its_id(postgres_url: str, kept: Kept) -> None:
    one = kept.incidents[7].id

    async def story(pool: Pool) -> list[list[str]]:
        store = PostgresStore(pool)
        words = (one, one[:-4].upper(), one[:3])
        return [await pages(store, kept.tenant, Listing(words=(word,)), 61) for word in words]

    assert with_pool(postgres_url, story) == [[one], [one], []]


@pytest.mark.parametrize("sort", list(Sort))
def test_a_page_is_read_from_an_index_in_the_order_it_is_asked_for(postgres_url: str, kept: Kept, sort: Sort) -> None:
    wanted = Listing(sort=sort, ascending=True)
    text, values = select(wanted, 4, wanted.place_of(kept.incidents[3]))

    async def story(pool: Pool) -> str:
        async with transaction(pool, kept.tenant) as conn:
            await conn.execute("SET LOCAL enable_seqscan = off")
            await conn.execute("SET LOCAL enable_sort = off")
            cursor = await conn.execute(f"EXPLAIN {text}", values | {"tenant": kept.tenant})
            return "\n".join(str(row[0]) for row in await cursor.fetchall())

    plan = with_pool(postgres_url, story)
    index = {Sort.OPENED: "incident_opened", Sort.UPDATED: "incident_changed", Sort.SEVERITY: "incident_severity"}
    assert f"using {index[sort]}" in plan
    assert "Sort" not in plan
    (found_by,) = (line for line in plan.splitlines() if "Index Cond" in line)
    assert "ROW(" in found_by  # the place is found by the index, not by reading up to it
