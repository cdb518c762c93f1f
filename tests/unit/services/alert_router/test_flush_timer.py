"""The flush timer: a group or a tenant in trouble holds up none of the others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.kernel.clock import ManualClock
from libs.kernel.errors import Unavailable
from services.alert_router.adapters.timers import BACKOFF_SECONDS, FlushTimer
from services.alert_router.domain.listening import Listening
from services.alert_router.handlers import FlushGroups, GroupsNotFlushed
from tests.unit.services.alert_router.builders import CONVENTIONS

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Flush:
    """Flushes tenants; one of them fails for as long as it is told to."""

    def __init__(self, **failing: Exception) -> None:
        self.failing = failing
        self.asked: list[str] = []

    async def __call__(self, tenant: str) -> int:
        self.asked.append(tenant)
        if tenant in self.failing:
            raise self.failing[tenant]
        return 0


def test_a_tenant_in_trouble_is_left_alone_for_a_while_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("services.alert_router.adapters.timers.time.monotonic", lambda: now[0])
    flush: Any = Flush(acme=RuntimeError("odd"))
    timer = FlushTimer(flush, lambda: ["acme", "zoo"], 0.0, Listening(START), ManualClock(START))
    for seconds in (0.0, 1.0, 1.0, BACKOFF_SECONDS):
        now[0] += seconds
        asyncio.run(timer.tick())
    assert flush.asked == ["acme", "zoo", "zoo", "zoo", "acme", "zoo"]
    assert "acme" in (timer.problem() or "")
    flush.failing.clear()
    now[0] += BACKOFF_SECONDS
    asyncio.run(timer.tick())
    assert timer.problem() is None


def test_a_tenant_that_is_gone_is_no_problem_any_more() -> None:
    tenants = ["acme"]
    flush: Any = Flush(acme=Unavailable("away"))
    timer = FlushTimer(flush, lambda: tenants, 0.0, Listening(START), ManualClock(START))
    asyncio.run(timer.tick())
    assert timer.problem()
    tenants.clear()
    asyncio.run(timer.tick())
    assert timer.problem() is None


@pytest.mark.parametrize(("error", "interrupts"), [(Unavailable("away"), True), (RuntimeError("odd"), False)])
def test_only_what_keeps_all_tenants_from_being_heard_starts_the_listening_anew(
    error: Exception, interrupts: bool
) -> None:
    clock, listening = ManualClock(START), Listening(START)
    flush: Any = Flush(acme=error)
    clock.advance(timedelta(seconds=10))
    asyncio.run(FlushTimer(flush, lambda: ["acme"], 0.0, listening, clock).tick())
    assert (listening.since(clock.now()) > START) is interrupts


class Groups:
    """A store whose sessions fail for one group."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.looked_at: list[str] = []

    async def due_groups(self, _tenant: str, _now: object) -> list[str]:
        return ["bad", "good"]

    def session(self, _tenant: str) -> Groups:
        return self

    async def __aenter__(self) -> Groups:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""

    async def due(self, group_id: str, _now: object) -> None:
        self.looked_at.append(group_id)
        if group_id == "bad":
            raise self.error


@pytest.mark.parametrize(
    ("error", "raised", "looked_at"),
    [(ValueError("odd"), GroupsNotFlushed, ["bad", "good"]), (Unavailable("away"), Unavailable, ["bad"])],
)
def test_a_group_that_fails_by_itself_holds_up_none_of_the_others(
    error: Exception, raised: type[Exception], looked_at: list[str]
) -> None:
    store: Any = Groups(error)
    nothing: Any = None

    class Clock:
        def now(self) -> None:
            """Return no time: nothing is flushed here."""

    clock: Any = Clock()
    with pytest.raises(raised):
        asyncio.run(FlushGroups(store, nothing, CONVENTIONS, clock, Listening(START))("acme"))
    assert store.looked_at == looked_at
