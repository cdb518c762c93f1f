"""Streams end with the key that opened them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TypeVar

T = TypeVar("T")
CHECK_SECONDS = 0.5


async def while_good(
    items: AsyncIterator[T], good: Callable[[], bool], every: float = CHECK_SECONDS
) -> AsyncGenerator[T, None]:
    """Yield items while `good` holds, asked at least every so many seconds, also when nothing comes."""
    coming: asyncio.Task[T] | None = None
    try:
        while good():
            coming = coming or asyncio.create_task(_next(items))
            done, _ = await asyncio.wait({coming}, timeout=every)
            if not done:
                continue
            try:
                item = coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming = None
            yield item
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        if isinstance(items, AsyncGenerator):
            await items.aclose()


async def _next(items: AsyncIterator[T]) -> T:
    return await anext(items)
