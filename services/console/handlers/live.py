"""Tells open pages that something changed. Events carry no content: a page that hears one reads itself again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from libs.kernel.errors import Unavailable

WATCHERS = Gauge("incidentscope_console_live_watchers", "Open pages listening for changes")
CONNECTED = Gauge("incidentscope_console_live_connected", "1 while the live feed reads from Kafka")
DROPPED = Counter("incidentscope_console_live_dropped_events", "Changes not told one by one to a slow page")
MAX_WATCHERS = 500
_WAITING = 64  # changes kept for a slow page; later ones are dropped, as the page reads itself again anyway


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed: the topic, the event's type without its package, and the incident or service it is about."""

    tenant: str
    topic: str
    kind: str
    subject: str


class LiveFeed:
    """Fans changes out to the pages of their tenant. For one event loop; `announce_from_thread` for other threads."""

    def __init__(self) -> None:
        self._watchers: dict[asyncio.Queue[Change | None], str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.connected = False

    def open(self) -> None:
        """Bind to the running event loop; needed before `announce_from_thread`."""
        self._loop = asyncio.get_running_loop()

    def announce(self, change: Change) -> None:
        """Hand a change to every page of its tenant."""
        for queue, tenant in self._watchers.items():
            if tenant == change.tenant:
                self._put(queue, change)

    def announce_from_thread(self, change: Change) -> None:
        """Hand a change over from another thread; dropped once the loop is gone."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.announce, change)

    def set_connected(self, connected: bool) -> None:
        """Record whether changes arrive at all."""
        self.connected = connected
        CONNECTED.set(1 if connected else 0)

    async def watch(self, tenant: str, heartbeat_s: float) -> AsyncIterator[Change | None]:
        """Yield the tenant's changes, and None when there was none for heartbeat_s; ends when the feed is closed.

        Raises Unavailable when too many pages listen already.
        """
        if len(self._watchers) >= MAX_WATCHERS:
            raise Unavailable("Too many pages listen for changes; reload by hand.")
        queue: asyncio.Queue[Change | None] = asyncio.Queue(_WAITING)
        self._watchers[queue] = tenant
        WATCHERS.set(len(self._watchers))
        try:
            while not self._closed:
                try:
                    change = await asyncio.wait_for(queue.get(), heartbeat_s)
                except TimeoutError:
                    yield None
                    continue
                if change is None:
                    return
                yield change
        finally:
            del self._watchers[queue]
            WATCHERS.set(len(self._watchers))

    def close(self) -> None:
        """End every watch, so that the server can stop."""
        self._closed = True
        for queue in self._watchers:
            self._put(queue, None)

    @staticmethod
    def _put(queue: asyncio.Queue[Change | None], change: Change | None) -> None:
        if queue.full():
            DROPPED.inc()
            queue.get_nowait()
        queue.put_nowait(change)
