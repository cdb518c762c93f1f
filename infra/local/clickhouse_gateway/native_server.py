"""The native protocol's listener: a thread per client, up to a limit."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from infra.local.clickhouse_gateway.engine import Engine
from infra.local.clickhouse_gateway.errors import TOO_MANY_CONNECTIONS, EngineError
from infra.local.clickhouse_gateway.native_connection import Credentials, NativeConnection
from infra.local.clickhouse_gateway.native_protocol import PacketWriter
from infra.local.clickhouse_gateway.spool import SpoolFolder
from infra.local.clickhouse_gateway.watch import Watch

MAX_CLIENTS = 256
_POLL_SECONDS = 0.05


class NativeServer:
    """Serves the clients of a listening socket until `stop`."""

    def __init__(self, listener: socket.socket, engine: Engine, spool: SpoolFolder, credentials: Credentials) -> None:
        self._listener = listener
        self._engine = engine
        self._spool = spool
        self._credentials = credentials
        self._watch = Watch()
        self._guard = threading.Lock()
        self._clients: dict[NativeConnection, threading.Thread] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="native-accept", daemon=True)

    def start(self) -> None:
        """Begin to accept clients."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Accept nobody any more, let running queries finish for so many seconds, cancel those that do not."""
        self._stopping.set()
        with suppress(OSError):  # some systems refuse this on a listener; closing is enough there
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        deadline = time.monotonic() + seconds
        while self._stop_clients(force=False) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._stop_clients(force=True)
        for thread in self._threads():
            thread.join(seconds)
        self._watch.stop()

    def _stop_clients(self, *, force: bool) -> int:
        """Tell clients to end, and return how many are left."""
        with self._guard:
            clients = list(self._clients)
        for client in clients:
            client.stop(force=force)
        return len(clients)

    def _threads(self) -> list[threading.Thread]:
        with self._guard:
            return list(self._clients.values())

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _address = self._listener.accept()
            except OSError:
                if self._stopping.is_set():
                    return
                time.sleep(_POLL_SECONDS)  # out of file descriptors: clients that leave give some back
                continue
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with self._guard:
            full = len(self._clients) >= MAX_CLIENTS
        if full:
            _turn_away(sock)
            return
        client = NativeConnection(sock, self._engine, self._spool, self._credentials, self._watch)
        thread = threading.Thread(target=self._serve, args=(client,), name="native-client", daemon=True)
        with self._guard:
            self._clients[client] = thread
        thread.start()

    def _serve(self, client: NativeConnection) -> None:
        try:
            client.serve()
        finally:
            with self._guard:
                del self._clients[client]


def _turn_away(sock: socket.socket) -> None:
    writer = PacketWriter(sock)
    writer.exception(
        EngineError(
            TOO_MANY_CONNECTIONS, f"More than {MAX_CLIENTS} clients are connected", "TOO_MANY_SIMULTANEOUS_QUERIES"
        )
    )
    try:
        sock.settimeout(1.0)
        writer.flush()
    except OSError:
        pass  # it left already
    finally:
        sock.close()
