"""Streams that end with their key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from libs.access.streams import while_good


def test_a_stream_ends_with_its_key_also_when_nothing_comes_and_lets_go_of_its_source() -> None:
    closed: list[bool] = []

    async def endless() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.sleep(3600)
            yield 2
        finally:
            closed.append(True)

    async def story() -> list[int]:
        good = True

        def revoke() -> None:
            nonlocal good
            good = False

        asyncio.get_running_loop().call_later(0.1, revoke)
        async with asyncio.timeout(2):
            return [item async for item in while_good(endless(), lambda: good, every=0.02)]

    assert asyncio.run(story()) == [1]
    assert closed == [True]


def test_a_stream_that_ends_by_itself_is_passed_on_whole() -> None:
    async def three() -> AsyncIterator[int]:
        for n in range(3):
            yield n

    async def story() -> list[int]:
        return [item async for item in while_good(three(), lambda: True)]

    assert asyncio.run(story()) == [0, 1, 2]
