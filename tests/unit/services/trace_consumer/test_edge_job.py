"""The order and the bounds of the edge job's work; what edges are is tested on ClickHouse."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from libs.kernel.errors import InvalidInput
from services.trace_consumer.domain import EdgeCounts, EdgeKey, Stretch, TenantMinute, in_turn
from services.trace_consumer.handlers import BUDGET, MAY_HAVE_WAITED, EdgeJob

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
COUNTS = EdgeCounts(calls=3)


class Store:
    """Half-edges touched in given minutes; computing a stretch takes a given time."""

    def __init__(self, cost: timedelta) -> None:
        self.clock = NOON
        self.cost = cost
        self.touched: list[TenantMinute] = []
        self.asked_since: list[datetime | None] = []
        self.written: list[TenantMinute] = []
        self.last: datetime | None = None

    def now(self) -> datetime:
        return self.clock

    def last_written(self) -> datetime | None:
        return self.last

    def touched_since(self, since: datetime | None) -> list[TenantMinute]:
        self.asked_since.append(since)
        found, self.touched = self.touched, []
        return found

    def compute(self, stretch: Stretch, settled_before: datetime) -> dict[EdgeKey, EdgeCounts]:
        assert settled_before < self.clock
        self.clock += self.cost
        return {EdgeKey(minute, "a", "b", "http", True): COUNTS for minute in stretch.minutes}

    def known(self, stretch: Stretch) -> dict[EdgeKey, EdgeCounts]:
        assert stretch.minutes
        return {}

    def write(self, tenant: str, rows: Mapping[EdgeKey, EdgeCounts], version: datetime) -> None:
        assert version <= self.clock
        self.written += [TenantMinute(tenant, key.minute) for key in rows]


def backlog(tenant: str, hours: int) -> list[TenantMinute]:
    """Return one minute an hour, which no stretch joins, the last of them an hour before noon."""
    return [TenantMinute(tenant, NOON - HOUR * (n + 1)) for n in range(hours)]


def test_the_newest_minutes_come_before_another_tenants_backlog() -> None:
    store = Store(cost=BUDGET)
    live = TenantMinute("zoo", NOON)
    store.touched = [*backlog("acme", 9), live]
    outcome = EdgeJob(store).run_once()
    assert store.written[0] == live
    assert (outcome.minutes, outcome.waiting) == (2, 8)


def test_a_backlog_is_worked_off_from_both_ends_and_nothing_is_left_out() -> None:
    store = Store(cost=BUDGET)
    waiting = backlog("acme", 9)
    store.touched = list(waiting)
    job = EdgeJob(store)
    job.run_once()
    live = TenantMinute("zoo", NOON)
    store.touched = [live]
    job.run_once()
    assert store.written[2:] == [live, waiting[-1]]
    while job.run_once().waiting:
        pass
    assert sorted(store.written) == sorted([*waiting, live])


def test_cheap_minutes_are_all_done_at_once() -> None:
    store = Store(cost=timedelta(milliseconds=1))
    store.touched = backlog("acme", 9)
    assert EdgeJob(store).run_once().waiting == 0
    assert len(store.written) == 9


def test_a_successor_takes_up_what_may_have_waited() -> None:
    store = Store(cost=timedelta(0))
    job = EdgeJob(store)
    store.last = NOON - MINUTE
    job.run_once()
    job.run_once()
    first, second = store.asked_since
    assert first == NOON - MINUTE - MAY_HAVE_WAITED
    assert second is not None
    assert NOON - MINUTE < second < NOON


def test_without_any_edges_all_half_edges_are_looked_at() -> None:
    store = Store(cost=timedelta(0))
    assert EdgeJob(store).run_once().minutes == 0
    assert store.asked_since == [None]


def test_the_oldest_comes_second_only_where_something_is_overdue() -> None:
    parts = [Stretch("t", (NOON + MINUTE * n,)) for n in range(4)]
    newest_first = parts[::-1]
    assert in_turn(parts, overdue=False) == newest_first
    assert in_turn(parts, overdue=True) == [parts[3], parts[0], parts[2], parts[1]]


class Picky(Store):
    """Refuses what one tenant brings."""

    def compute(self, stretch: Stretch, settled_before: datetime) -> dict[EdgeKey, EdgeCounts]:
        if stretch.tenant == "acme":
            raise InvalidInput("clickhouse_refused", "no")
        return super().compute(stretch, settled_before)


def test_a_refusal_of_one_tenants_minutes_holds_up_no_other_and_they_wait() -> None:
    store = Picky(cost=timedelta(0))
    job = EdgeJob(store)
    live = TenantMinute("zoo", NOON - HOUR)
    store.touched = [TenantMinute("acme", NOON), live]
    outcome = job.run_once()
    assert (outcome.minutes, outcome.waiting, outcome.refused) == (1, 1, 1)
    assert store.written == [live]
    assert job.run_once().waiting == 1
