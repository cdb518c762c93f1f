"""HTTP/1.1 for senders that dawdle: uvicorn waits for ever for a request's head, and for a body nobody reads."""

from __future__ import annotations

import asyncio
from typing import Final

import h11
import structlog
from prometheus_client import Counter
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS: Final = 15.0  # from a request's first byte to the end of its headers
KEEP_ALIVE_SECONDS: Final = 75  # longer than senders pause between pushes, or they meet a closed connection
MOST_CONNECTIONS: Final = 2000  # at once; more are answered with 503
CLOSED = Counter("incidentscope_http_dawdlers_closed_total", "Connections closed for want of a whole request")
log = structlog.get_logger()


class PatientProtocol(H11Protocol):
    """Closes a connection whose next request, or what is left of an answered one, does not arrive in time."""

    _dawdling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._watch(True)

    def data_received(self, data: bytes) -> None:
        """Wait on, or no longer. Bytes that come do not put the end off."""
        super().data_received(data)
        self._watch(self._unfinished())

    def on_response_complete(self) -> None:
        """Wait for the rest of a body that was answered before its end, and for nothing otherwise."""
        super().on_response_complete()
        self._watch(self._unfinished() and self.conn.their_state is h11.SEND_BODY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._watch(False)
        super().connection_lost(exc)

    def _unfinished(self) -> bool:
        """Tell whether a request's head is missing, or the body of one that is answered already."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _watch(self, waits: bool) -> None:
        if not waits and self._dawdling is not None:
            self._dawdling.cancel()
            self._dawdling = None
        elif waits and self._dawdling is None and not self.transport.is_closing():
            self._dawdling = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._dawdling = None
        if self._unfinished() and not self.transport.is_closing():
            CLOSED.inc()
            log.info("dawdler_closed", seconds=HEAD_SECONDS)
            self.transport.close()
