"""Large HTTP requests over kept connections. A body goes to the socket as it lies in memory, without a copy."""

from __future__ import annotations

import http.client
import queue
import select
from contextlib import suppress
from dataclasses import dataclass

from libs.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; header names are in lower case."""

    status: int
    headers: dict[str, str]
    text: str


class HttpPoster:
    """Connections to one server, as many as there are threads that post at a time."""

    def __init__(self, host: str, port: int, headers: dict[str, str], connect_s: float, answer_s: float) -> None:
        self._host = host
        self._port = port
        self._headers = headers
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def post(self, path: str, body: bytes) -> Answer:
        """Return the answer, whatever its status; raises Unavailable when there is none."""
        try:
            connection = self._connection()
            try:
                return self._exchange(connection, path, body)
            except BaseException:
                connection.close()
                raise
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{self._host}:{self._port} does not answer: {error!r}") from error

    def close(self) -> None:
        """Close all idle connections."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _connection(self) -> http.client.HTTPConnection:
        with suppress(queue.Empty):
            while True:
                kept = self._idle.get_nowait()
                if kept.sock is not None and not select.select([kept.sock], [], [], 0)[0]:
                    return kept
                kept.close()  # the server has closed it
        fresh = http.client.HTTPConnection(self._host, self._port, timeout=self._connect_s)
        fresh.connect()
        fresh.sock.settimeout(self._answer_s)
        return fresh

    def _exchange(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> Answer:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why before it stopped reading
            connection.request("POST", path, body, self._headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        if response.will_close:
            connection.close()
        else:
            self._idle.put(connection)
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
