"""Where exports go."""

from __future__ import annotations

from typing import Protocol

from services.otlp_receiver.domain import Checked, Encoding, Signal


class Publisher(Protocol):
    """Keeps an export durably."""

    async def publish(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> None:
        """Return once the broker has acknowledged; raises Unavailable, or InvalidInput `too_large`."""
        ...


class Checker(Protocol):
    """Looks into bodies, away from the event loop where that takes long."""

    async def check(self, signal: Signal, tenant: str, encoding: Encoding, body: bytes) -> Checked:
        """Return what there is to say about a body; raises Unavailable."""
        ...
