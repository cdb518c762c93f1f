"""Server-sent events: a page listens on /events and reads itself again when something changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import StreamingResponse

from libs.access.http import needs
from libs.access.identity import Role, Scope, current_identity
from libs.access.streams import while_good
from libs.access.tenants import TenantRegistry
from libs.kernel.errors import Unavailable
from libs.messaging.topics import DEPLOYS_EVENTS
from services.console.handlers.live import Change, LiveFeed

HEARTBEAT_SECONDS = 10.0
RETRY_MS = 3000


@dataclass(frozen=True, slots=True)
class Events:
    """The event stream of one tenant; `?incident=<id>` narrows it to one incident and to deploys.

    It ends when the key of whoever opened it does.
    """

    feed: LiveFeed
    tenants: TenantRegistry

    @needs(Role.VIEWER, Scope.INCIDENTS_READ)
    async def __call__(self, request: Request) -> StreamingResponse:
        """Answer with an endless stream."""
        caller = current_identity()
        told = self._stream(caller.tenant, request.query_params.get("incident", ""))
        return StreamingResponse(while_good(told, lambda: self.tenants.holds(caller)), media_type="text/event-stream")

    async def _stream(self, tenant: str, incident: str) -> AsyncIterator[str]:
        yield f"retry: {RETRY_MS}\n\n" + self._pulse()
        try:
            async with aclosing(self.feed.watch(tenant, HEARTBEAT_SECONDS)) as changes:  # type: ignore[type-var]
                async for change in changes:
                    if change is None:
                        yield self._pulse()
                    elif wanted(change, incident):
                        yield message("change", {"kind": change.kind, "subject": change.subject})
        except Unavailable:
            yield message("full", {})

    def _pulse(self) -> str:
        return message("pulse", {"live": self.feed.connected})


def wanted(change: Change, incident: str) -> bool:
    """Tell whether a page about this incident (empty: about all) cares for a change."""
    return not incident or change.subject == incident or change.topic == DEPLOYS_EVENTS.name


def message(event: str, data: dict[str, object]) -> str:
    """Return one event in the wire format; JSON keeps data on one line."""
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"
