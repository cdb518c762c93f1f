"""Tells watchers of changes as they commit. Changes come from the topic, so every replica tells of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter, Gauge

from libs.kernel.errors import Unavailable

WATCHERS = Gauge("incidentscope_incident_watchers", "Open watches")
OVERRUN = Counter("incidentscope_incident_overrun_watches", "Watches ended because they were read too slowly")
MOST_WATCHERS = 500
WAITING = 1000  # changes kept for one watcher


class ReadsTooSlowly(Exception):
    """More changes wait for a watcher than are kept."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change: of which incident of which tenant, the version it made, the kind of event, and the event itself."""

    tenant: str
    incident_id: str
    version: int
    kind: str
    event: Any


class Watches:
    """Fans changes out to the watchers of their tenant. For one event loop; `tell_from_thread` for other threads."""

    def __init__(self) -> None:
        self._watchers: dict[asyncio.Queue[Told | None], str] = {}
        self._overrun: set[asyncio.Queue[Told | None]] = set()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.connected = False

    @property
    def watched(self) -> bool:
        """Tell whether anybody watches; may be asked from any thread."""
        return bool(self._watchers)

    def tell(self, change: Told) -> None:
        """Hand a change to every watcher of its tenant."""
        for queue, tenant in self._watchers.items():
            if tenant == change.tenant:
                self._put(queue, change)

    def tell_from_thread(self, change: Told) -> None:
        """Hand a change over from another thread; dropped once the loop is gone."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.tell, change)

    def _put(self, queue: asyncio.Queue[Told | None], change: Told | None) -> None:
        try:
            queue.put_nowait(change)
        except asyncio.QueueFull:
            self._overrun.add(queue)

    @asynccontextmanager
    async def watch(self, tenant: str) -> AsyncIterator[AsyncIterator[Told]]:
        """Yield the tenant's changes from now on; raises Unavailable when changes do not arrive or too many watch.

        The changes end when the service stops, and with ReadsTooSlowly when too many wait.
        """
        if not self.connected or self._closed:
            raise Unavailable("changes do not arrive now: the broker does not answer")
        if len(self._watchers) >= MOST_WATCHERS:
            raise Unavailable(f"there are {MOST_WATCHERS} watches already")
        queue: asyncio.Queue[Told | None] = asyncio.Queue(WAITING)
        self._watchers[queue] = tenant
        WATCHERS.set(len(self._watchers))
        try:
            yield self._changes(queue)
        finally:
            del self._watchers[queue]
            self._overrun.discard(queue)
            WATCHERS.set(len(self._watchers))

    async def _changes(self, queue: asyncio.Queue[Told | None]) -> AsyncIterator[Told]:
        while True:
            change = await queue.get()
            if queue in self._overrun:
                OVERRUN.inc()
                raise ReadsTooSlowly(f"more than {WAITING} changes wait: watch again, and read faster")
            if change is None:
                return
            yield change

    def close(self) -> None:
        """End every watch, so that the server can stop."""
        self._closed = True
        for queue in self._watchers:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)
