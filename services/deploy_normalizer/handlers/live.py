"""Who watches deploys, and what each is told: one queue a watcher, ended loudly rather than with a hole in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from libs.kernel.errors import IncidentScopeError
from services.deploy_normalizer.domain.deploy import Deploy
from services.deploy_normalizer.domain.query import DeployFilter

WAITING = 1000  # changes a watcher may be behind


class WatchEnded(IncidentScopeError):
    """Changes may have been missed: call again and catch up. `too_slow` when that is the watcher's doing."""

    def __init__(self, message: str, too_slow: bool) -> None:
        super().__init__(message)
        self.too_slow = too_slow


@dataclass(eq=False, slots=True)
class _Watcher:
    tenant: str
    services: frozenset[str]
    only: DeployFilter
    waiting: asyncio.Queue[Deploy | WatchEnded] = field(default_factory=lambda: asyncio.Queue(WAITING + 1))
    ended: bool = False

    def end(self, message: str, too_slow: bool) -> None:
        self.ended = True
        self.waiting.put_nowait(WatchEnded(message, too_slow))

    def offer(self, deploy: Deploy) -> None:
        asked = self.tenant == deploy.tenant and (not self.services or deploy.service in self.services)
        if self.ended or not (asked and self.only.admits(deploy)):
            return
        if self.waiting.qsize() >= WAITING:
            self.end(f"the reader is more than {WAITING} changes behind; call again and catch up", too_slow=True)
        else:
            self.waiting.put_nowait(deploy)


class LiveDeploys:
    """Hands each change to those who watch for it. All methods run in the event loop."""

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()
        self._connected = False

    def announce(self, deploy: Deploy) -> None:
        """Tell the watchers of a change."""
        for watcher in self._watchers:
            watcher.offer(deploy)

    def set_connected(self, connected: bool) -> None:
        """Say whether changes are arriving; once they are not, every stream ends, as it may miss some."""
        self._connected = connected
        if not connected:
            for watcher in self._watchers:
                if not watcher.ended:
                    watcher.end("the event log does not answer; call again and catch up", too_slow=False)

    @asynccontextmanager
    async def watch(
        self, tenant: str, services: tuple[str, ...], only: DeployFilter
    ) -> AsyncIterator[AsyncIterator[Deploy]]:
        """Yield a tenant's changes from now on, without end; the iteration raises WatchEnded when one may be missed."""
        if not self._connected:
            raise WatchEnded("the event log does not answer now; call again later", too_slow=False)
        watcher = _Watcher(tenant, frozenset(services), only)
        self._watchers.add(watcher)
        try:
            yield _changes(watcher)
        finally:
            self._watchers.discard(watcher)


async def _changes(watcher: _Watcher) -> AsyncIterator[Deploy]:
    while True:
        change = await watcher.waiting.get()
        if isinstance(change, WatchEnded):
            raise change
        yield change
