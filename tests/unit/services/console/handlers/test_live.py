from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from prometheus_client import REGISTRY

from libs.kernel.errors import Unavailable
from services.console.adapters.http_live import Events, wanted
from services.console.handlers import live
from services.console.handlers.live import Change, LiveFeed


def change(tenant: str = "shop", subject: str = "i", topic: str = "incidents.events") -> Change:
    return Change(tenant, topic, "IncidentOpened", subject)


async def heard(feed: LiveFeed, tenant: str, into: list[Change | None], heartbeat_s: float = 5) -> None:
    async with aclosing(feed.watch(tenant, heartbeat_s)) as changes:  # type: ignore[type-var]
        async for item in changes:
            into.append(item)


def test_a_change_reaches_the_pages_of_its_tenant_only() -> None:
    async def scene() -> tuple[list[Change | None], list[Change | None]]:
        feed, mine, others = LiveFeed(), [], []  # type: ignore[var-annotated]
        feed.open()
        tasks = [asyncio.create_task(heard(feed, t, into)) for t, into in (("shop", mine), ("other", others))]
        await asyncio.sleep(0)
        await asyncio.to_thread(feed.announce_from_thread, change())
        await asyncio.sleep(0.05)
        feed.close()
        await asyncio.gather(*tasks)
        return mine, others

    assert asyncio.run(scene()) == ([change()], [])


def test_silence_is_filled_with_heartbeats() -> None:
    async def scene() -> Change | None:
        async with aclosing(LiveFeed().watch("shop", 0.01)) as changes:  # type: ignore[type-var]
            return await anext(changes)

    assert asyncio.run(scene()) is None


def test_a_slow_page_loses_the_oldest_changes_and_still_ends() -> None:
    async def scene() -> list[Change | None]:
        feed, into = LiveFeed(), []  # type: ignore[var-annotated]
        task = asyncio.create_task(heard(feed, "shop", into))
        await asyncio.sleep(0)
        for n in range(200):
            feed.announce(change(subject=str(n)))
        feed.close()
        await task
        return into

    into = asyncio.run(scene())
    assert len(into) < 100
    assert feed_is_forgotten()


def feed_is_forgotten() -> bool:
    return REGISTRY.get_sample_value("incidentscope_console_live_watchers") == 0


def test_too_many_pages_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_WATCHERS", 0)

    async def scene() -> None:
        await anext(LiveFeed().watch("shop", 1))

    with pytest.raises(Unavailable, match="Too many pages"):
        asyncio.run(scene())


def test_a_change_after_the_loop_is_gone_is_dropped() -> None:
    feed = LiveFeed()

    async def scene() -> None:
        feed.open()

    asyncio.run(scene())
    feed.announce_from_thread(change())


def test_a_page_of_one_incident_hears_of_it_and_of_deploys() -> None:
    assert wanted(change(), "")
    assert wanted(change(subject="i"), "i")
    assert not wanted(change(subject="other"), "i")
    assert wanted(change(subject="payments", topic="deploys.events"), "i")


def test_the_stream_speaks_server_sent_events() -> None:
    async def scene() -> list[str]:
        feed = LiveFeed()
        feed.set_connected(True)
        sent: list[str] = []
        async with aclosing(Events(feed, None)._stream("shop", "")) as stream:  # type: ignore[arg-type, type-var]
            sent.append(await anext(stream))
            following = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0)
            feed.announce(change(subject="evil\n\ndata: x"))
            sent.append(await following)
        return sent

    first, second = asyncio.run(scene())
    assert first == 'retry: 3000\n\nevent: pulse\ndata: {"live": true}\n\n'
    assert second == 'event: change\ndata: {"kind": "IncidentOpened", "subject": "evil\\n\\ndata: x"}\n\n'
