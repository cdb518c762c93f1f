"""Rounds of work by the clock: nothing that goes wrong in one ends the loop, or skips another tenant."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY
from psycopg_pool import PoolTimeout

from libs.kernel.errors import InvalidInput, Unavailable
from libs.runtime.rounds import attempt, attempt_each, pause


def failures(job: str, reason: str) -> float:
    return REGISTRY.get_sample_value("incidentscope_job_failures_total", {"job": job, "reason": reason}) or 0.0


@pytest.mark.parametrize(
    "error", [Unavailable("away"), InvalidInput("refused", "no"), PoolTimeout("no connection"), KeyError("x")]
)
def test_an_error_of_any_kind_is_counted_by_its_reason_and_told(error: Exception) -> None:
    async def work() -> None:
        raise error

    before = failures("sweep", type(error).__name__)
    assert asyncio.run(attempt("sweep", work))
    assert failures("sweep", type(error).__name__) == before + 1


def test_stopping_is_no_failure() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(attempt("sweep", work))


def test_the_trouble_of_one_tenant_leaves_none_of_the_others_out() -> None:
    done: list[str] = []

    async def work(tenant: str) -> None:
        if tenant == "b":
            raise PoolTimeout("no connection")
        done.append(tenant)

    assert asyncio.run(attempt_each("sweep", {"c", "a", "b"}, work)) == {"b": "no connection"}
    assert done == ["a", "c"]


def test_pauses_grow_to_a_bound() -> None:
    assert [pause(n, 2.0, 60.0) for n in (0, 1, 4, 5, 10_000)] == [2.0, 4.0, 32.0, 60.0, 60.0]
