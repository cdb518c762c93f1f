"""Notices while a query runs that its client cancelled it or left."""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.native_protocol import ClientPacket

_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


class Watch:
    """One thread that looks at the sockets of all running queries; it sleeps while there is none."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sockets: dict[socket.socket, Callable[[], None]] = {}
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="native-watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, sock: socket.socket, cancel: Callable[[], None]) -> Iterator[None]:
        """Call `cancel` when the client of the socket cancels or leaves before the block ends."""
        with self._changed:
            self._sockets[sock] = cancel
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._sockets.pop(sock, None)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sockets or self._stopped)
                if self._stopped:
                    return
                # Under the lock: a query that has ended must not take its successor along
                for cancel in self._due():
                    _attempt(cancel)
            time.sleep(_POLL_SECONDS)

    def _due(self) -> list[Callable[[], None]]:
        """Return what to call now; each socket is reported once."""
        poll, by_number = select.poll(), {sock.fileno(): sock for sock in self._sockets}
        for number in by_number:
            poll.register(number, select.POLLIN)
        due = []
        for number, _event in poll.poll(0):
            sock = by_number[number]
            cancel = self._sockets.pop(sock)
            if _wants_cancel(sock):
                due.append(cancel)
        return due


def _wants_cancel(sock: socket.socket) -> bool:
    try:
        first = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return True
    return not first or first[0] == ClientPacket.CANCEL


def _attempt(cancel: Callable[[], None]) -> None:
    try:
        cancel()
    except EngineError:
        logger.exception("a query could not be cancelled")
