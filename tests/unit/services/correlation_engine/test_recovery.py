"""At start: what is open is listed tenant by tenant, whatever incident_service says to one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from libs.kernel.errors import InvalidInput, Unavailable
from services.correlation_engine import app
from services.correlation_engine.adapters.rpc import _ask


class Recovering:
    """A correlator that finds nothing open, or fails, tenant by tenant."""

    def __init__(self, **failures: list[Exception]) -> None:
        self.failures = failures
        self.asked: list[str] = []

    async def recover(self, tenant: str) -> None:
        self.asked.append(tenant)
        if waiting := self.failures.get(tenant):
            raise waiting.pop(0)


class Checks:
    """Where readiness checks are hung."""

    def check(self, _name: str, problem: Callable[[], str | None]) -> None:
        self.problem = problem


def recovering(monkeypatch: pytest.MonkeyPatch, correlator: Recovering) -> tuple[list[str | None], list[float]]:
    """Run the recovery; return what readiness said after each round, and the pauses between them."""
    checks, seen, pauses = Checks(), list[str | None](), list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        seen.append(checks.problem())

    monkeypatch.setattr("services.correlation_engine.app.asyncio.sleep", sleep)
    world: Any = SimpleNamespace(health=checks)
    tenants: Any = SimpleNamespace(ids=frozenset({"acme", "bolt", "zoo"}))
    engine: Any = correlator
    asyncio.run(app._recover(world, engine, tenants))
    seen.append(checks.problem())
    return seen, pauses


def test_a_refusal_for_one_tenant_neither_ends_the_engine_nor_keeps_the_others_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = [InvalidInput("refused", "PERMISSION_DENIED"), ValueError("odd")]
    correlator = Recovering(acme=refused, zoo=[Unavailable("away")])
    seen, pauses = recovering(monkeypatch, correlator)
    assert correlator.asked == ["acme", "bolt", "zoo", "acme", "zoo", "acme"]
    assert [bool(why and "acme" in why) for why in seen] == [True, True, False]
    assert seen[-1] is None
    assert pauses == [2.0, 4.0]


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_every_status_of_a_call_is_one_of_our_errors(code: grpc.StatusCode) -> None:
    def call() -> Awaitable[None]:
        metadata = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(code, metadata, metadata, "no", "")

    async def failing() -> None:
        await call()

    with pytest.raises((Unavailable, InvalidInput)):
        asyncio.run(_ask("incident_service", failing()))
