"""What incident_service does by the clock goes on, whatever the database says to one round, tenant or item."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg_pool import PoolTimeout

from libs.kernel.errors import Unavailable
from services.incident_service import app
from services.incident_service.domain.records import DueKind
from services.incident_service.handlers.postmortems import Postmortems
from services.incident_service.ports import DueItem


class Enough(BaseException):
    """The test has seen enough rounds."""


def rounds(monkeypatch: pytest.MonkeyPatch, most: int) -> list[float]:
    """Let a loop go round so often, without waiting; return what it waited."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == most:
            raise Enough

    monkeypatch.setattr("services.incident_service.app.asyncio.sleep", sleep)
    return waited


class Pool:
    """A pool that hands no connection out."""

    asked = 0

    def connection(self) -> Any:
        self.asked += 1
        raise PoolTimeout("couldn't get a connection after 30.00 sec")


def test_a_pool_time_out_in_housekeeping_is_waited_out_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pool: Any = Pool()
    waited = rounds(monkeypatch, 3)
    with pytest.raises(Enough):
        asyncio.run(app._forget_events(pool))
    assert (pool.asked, waited) == (3, [5.0, 10.0, 20.0])


def test_the_trouble_of_one_tenant_leaves_the_overdue_of_none_of_the_others_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[str] = []

    class Overdue:
        async def report_overdue(self, tenant: str) -> int:
            if tenant == "acme":
                raise Unavailable("Postgres does not answer")
            reported.append(tenant)
            return 1

    waited = rounds(monkeypatch, 2)
    overdue: Any = Overdue()
    tenants: Any = SimpleNamespace(ids={"acme", "bolt", "zoo"})
    settings: Any = SimpleNamespace(overdue_sweep_seconds=7.0)
    with pytest.raises(Enough):
        asyncio.run(app._report_overdue(overdue, tenants, settings))
    assert (reported, waited) == (["bolt", "zoo"] * 2, [7.0, 7.0])


@pytest.mark.parametrize(("error", "raises"), [(ValueError("odd"), False), (Unavailable("away"), True)])
def test_an_item_that_cannot_be_reported_holds_up_no_other(error: Exception, raises: bool) -> None:
    items = [DueItem("acme", incident, DueKind.POSTMORTEM, incident) for incident in ("bad", "good")]
    taken: list[str] = []

    class Store:
        async def due(self, _tenant: str, _limit: int) -> list[DueItem]:
            return items

    store: Any = Store()
    nothing: Any = None
    postmortems = Postmortems(store, nothing)

    async def report(item: DueItem) -> bool:
        if item.incident_id == "bad":
            raise error
        taken.append(item.incident_id)
        return True

    postmortems._report = report  # type: ignore[method-assign]
    if raises:
        with pytest.raises(Unavailable):
            asyncio.run(postmortems.report_overdue("acme"))
    else:
        assert asyncio.run(postmortems.report_overdue("acme")) == 1
        assert taken == ["good"]
