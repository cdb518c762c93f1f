"""Start and stop of a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import httpx
import pytest

from libs.kernel.errors import IncidentScopeError
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.settings import ServiceSettings

SETTINGS = ServiceSettings(health_port=0)


def in_lifecycle(body: Callable[[Lifecycle], Awaitable[None]]) -> Lifecycle:
    async def main() -> Lifecycle:
        lifecycle = Lifecycle("test", SETTINGS)
        try:
            await body(lifecycle)
        finally:
            await lifecycle.close()
        return lifecycle

    return asyncio.run(main())


def test_what_was_pushed_last_is_closed_first_even_when_one_fails() -> None:
    closed: list[str] = []

    def broken() -> None:
        closed.append("broken")
        raise RuntimeError("cannot close")

    async def body(lifecycle: Lifecycle) -> None:
        lifecycle.push(lambda: closed.append("first"))
        lifecycle.push(broken)
        lifecycle.push(lambda: closed.append("last"))

    in_lifecycle(body)

    assert closed == ["last", "broken", "first"]


def test_a_background_part_that_fails_stops_the_process() -> None:
    async def fails() -> None:
        raise RuntimeError("broken part")

    async def body(lifecycle: Lifecycle) -> None:
        lifecycle.background("part", fails)
        await asyncio.wait_for(lifecycle.stopping.wait(), 5)

    assert "broken part" in str(in_lifecycle(body).failure)


def test_a_thread_that_fails_stops_the_process_and_one_that_ends_does_not() -> None:
    def fails() -> None:
        raise RuntimeError("broken thread")

    async def body(lifecycle: Lifecycle) -> None:
        lifecycle.thread("fine", lambda: None, lambda: None)
        lifecycle.thread("part", fails, lambda: None)
        await asyncio.wait_for(lifecycle.stopping.wait(), 5)

    assert "broken thread" in str(in_lifecycle(body).failure)


def test_a_thread_is_told_to_stop_and_waited_for() -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(5)
        ended.set()

    async def body(lifecycle: Lifecycle) -> None:
        lifecycle.thread("worker", work, stop.set)

    in_lifecycle(body)

    assert ended.is_set()


def test_readiness_names_what_is_missing_and_liveness_does_not_care() -> None:
    async def body(lifecycle: Lifecycle) -> None:
        lifecycle.health.check("database", lambda: "does not answer")
        port = await lifecycle.serve_http(lifecycle.health.app(), 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            live, ready = await client.get("/healthz"), await client.get("/readyz")
            metrics = await client.get("/metrics")
            lifecycle.health.check("database", lambda: None)
            lifecycle.health.started()
            later = await client.get("/readyz")
        assert live.status_code == 200
        assert ready.status_code == 503
        assert ready.json()["problems"] == {"started": "still starting", "database": "does not answer"}
        assert "python_info" in metrics.text
        assert later.json()["status"] == "ready"

    in_lifecycle(body)


def test_a_port_in_use_is_one_clear_sentence() -> None:
    async def body(lifecycle: Lifecycle) -> None:
        port = await lifecycle.serve_http(lifecycle.health.app(), 0)
        with pytest.raises(IncidentScopeError, match=f"cannot listen on 127.0.0.1:{port}.*choose another port"):
            await lifecycle.serve_http(lifecycle.health.app(), port)

    in_lifecycle(body)
