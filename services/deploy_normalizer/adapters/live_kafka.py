"""`deploys.events` to those who watch: read from its end, without a group, so every replica hears every change."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged

from libs.kernel.errors import InvalidInput
from libs.messaging.cloudevents import CloudEvent
from libs.messaging.tail import Tail
from libs.messaging.topics import DEPLOYS_EVENTS
from services.deploy_normalizer.adapters.messages import from_message
from services.deploy_normalizer.handlers.live import LiveDeploys

log = structlog.get_logger()


class LiveKafka(Tail):
    """Reads in its own thread until stopped and tells the event loop."""

    def __init__(self, bootstrap: str, live: LiveDeploys, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(bootstrap, (DEPLOYS_EVENTS.name,))
        self._live = live
        self._loop = loop

    def heard(self, topic: str, event: CloudEvent) -> None:
        """Announce a change."""
        if not isinstance(event.data, DeployChanged):
            return
        try:
            deploy = from_message(event.data.deploy)
        except InvalidInput as exc:
            self.spoiled(topic, exc.reason)
            return
        self._tell(self._live.announce, deploy)

    def spoiled(self, topic: str, reason: str) -> None:
        """Say that something else is on the topic."""
        log.warning("live_deploys_unreadable", topic=topic, reason=reason)

    def set_connected(self, connected: bool) -> None:
        """Let streams begin, or end them."""
        self._tell(self._live.set_connected, connected)

    def _tell(self, listener: Any, word: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(listener, word)
