"""Watchers: their tenant's changes in order, and no more of them than can be served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from libs.kernel.errors import Unavailable
from services.incident_service.adapters.grpc_calls import SlowReader
from services.incident_service.adapters.grpc_watch import newer
from services.incident_service.handlers.watch import MOST_WATCHERS, WAITING, ReadsTooSlowly, Told, Watches

T = TypeVar("T")


def change(version: int, tenant: str = "t", kind: str = "IncidentUpdated", incident: str = "i1") -> Told:
    return Told(tenant, incident, version, kind, None)


def run(story: Callable[[Watches], Awaitable[T]]) -> T:
    async def go() -> T:
        watches = Watches()
        watches.connected = True
        return await story(watches)

    return asyncio.run(go())


def test_a_watcher_hears_its_tenants_changes_in_order() -> None:
    async def story(watches: Watches) -> list[int]:
        async with watches.watch("t") as changes:
            for told in (change(1), change(2, "other"), change(3)):
                watches.tell(told)
            watches.close()
            return [c.version async for c in changes]

    assert run(story) == [1, 3]


def test_without_a_broker_no_watch_begins() -> None:
    async def story(watches: Watches) -> None:
        watches.connected = False
        with pytest.raises(Unavailable):
            async with watches.watch("t"):
                pass

    run(story)


def test_a_slow_watcher_is_told_so_instead_of_missing_changes() -> None:
    async def story(watches: Watches) -> None:
        async with watches.watch("t") as changes:
            for version in range(WAITING + 1):
                watches.tell(change(version))
            with pytest.raises(ReadsTooSlowly):
                await anext(changes)
        async with watches.watch("t") as changes:
            watches.tell(change(1))
            assert (await anext(changes)).version == 1

    run(story)


def test_closing_ends_even_a_full_watch() -> None:
    async def story(watches: Watches) -> None:
        async with watches.watch("t") as changes:
            for version in range(WAITING):
                watches.tell(change(version))
            watches.close()
            assert len([c async for c in changes]) < WAITING

    run(story)


def test_there_are_only_so_many_watches_and_each_makes_room_when_it_ends() -> None:
    async def story(watches: Watches) -> None:
        for _ in range(2):
            opened = [watches.watch("t") for _ in range(MOST_WATCHERS)]
            for one in opened:
                await one.__aenter__()
            with pytest.raises(Unavailable):
                await watches.watch("t").__aenter__()
            for one in opened:
                await one.__aexit__(None, None, None)

    run(story)


def test_what_the_first_state_holds_is_not_told_again_but_notes_are() -> None:
    async def story(watches: Watches) -> list[tuple[str, int]]:
        async with watches.watch("t") as changes:
            for told in (
                change(1, kind="IncidentOpened"), change(2, kind="IncidentAcknowledged"), change(2), change(1),
                change(3, kind="IncidentResolved"), change(2),
            ):  # fmt: skip
                watches.tell(told)
            watches.close()
            return [(c.kind, c.version) async for c in newer(changes, {"i1": 2})]

    assert run(story) == [("IncidentUpdated", 2), ("IncidentResolved", 3)]


def test_a_slow_reader_is_an_error_with_a_status_of_its_own() -> None:
    async def story(watches: Watches) -> None:
        async with watches.watch("t") as changes:
            for version in range(WAITING + 1):
                watches.tell(change(version))
            with pytest.raises(SlowReader):
                await anext(newer(changes, {}))

    run(story)
