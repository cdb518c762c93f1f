"""Whether the broker answers: while it does not, no alert can reach the router, whoever sends it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from services.alert_router.domain.listening import Listening

EVERY_SECONDS = 5.0
ANSWER_SECONDS = 5.0


class Broker(Protocol):
    """What can be asked whether it is there."""

    def reach(self, timeout_s: float) -> None:
        """Return once a broker has answered; raises Unavailable when none does in time."""
        ...


class BrokerWatch:
    """Asks every few seconds, and starts the time of listening anew while nobody answers."""

    def __init__(self, broker: Broker, listening: Listening, clock: Clock) -> None:
        self._broker = broker
        self._listening = listening
        self._clock = clock

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.ask()
            await asyncio.sleep(EVERY_SECONDS)

    async def ask(self) -> None:
        """Ask once."""
        try:
            await asyncio.to_thread(self._broker.reach, ANSWER_SECONDS)
        except Unavailable:
            self._listening.interrupted(self._clock.now())
