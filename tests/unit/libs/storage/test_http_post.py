from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from libs.kernel.errors import Unavailable
from libs.storage.http_post import HttpPoster

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Some: a\r\n\r\nok"


def read_request(connection: socket.socket) -> bytes | None:
    """Return the body of the next request, None when the other side is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (got := connection.recv(65536)):
            return None
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
    while len(body) < size:
        body += connection.recv(65536)
    return body


class Server:
    """Answers on a loopback port, each connection by what it is given."""

    def __init__(self, *serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(20)
        self.port: int = self.listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, args=(serve,), daemon=True)
        self._thread.start()

    def _run(self, serve: tuple[Callable[[socket.socket], None], ...]) -> None:
        for one in serve:
            connection, _ = self.listener.accept()
            with closing(connection):
                connection.settimeout(20)
                one(connection)

    def poster(self) -> HttpPoster:
        return HttpPoster("127.0.0.1", self.port, {"X-Key": "k"}, 5, 5)

    def stop(self) -> None:
        self._thread.join(20)
        self.listener.close()


@pytest.fixture
def start() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*serve: Callable[[socket.socket], None]) -> Server:
        servers.append(Server(*serve))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def test_a_connection_is_kept_and_a_large_body_arrives_whole(start: Callable[..., Server]) -> None:
    bodies: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        while (body := read_request(connection)) is not None:
            bodies.append(body)
            connection.sendall(OK)

    poster = start(serve).poster()
    large = bytes(range(256)) * 20_000
    answers = [poster.post("/?query=x", body) for body in (large, b"", b"three")]
    poster.close()
    assert bodies == [large, b"", b"three"]
    assert {(one.status, one.text, one.headers["x-some"]) for one in answers} == {(200, "ok", "a")}


def test_a_connection_the_server_has_closed_is_not_used_again(start: Callable[..., Server]) -> None:
    def once(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)

    poster = start(once, once).poster()
    assert poster.post("/", b"1").status == 200
    assert select_closed(poster)
    assert poster.post("/", b"2").status == 200
    poster.close()


def select_closed(poster: HttpPoster) -> bool:
    """Wait until the kept connection has been closed by the server."""
    connection = poster._idle.get(timeout=5)
    connection.sock.settimeout(5)
    gone = connection.sock.recv(1, socket.MSG_PEEK) == b""
    poster._idle.put(connection)
    return gone


def test_a_refusal_before_the_body_was_read_is_an_answer(start: Callable[..., Server]) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nwhy")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    poster = start(refuse).poster()
    answer = poster.post("/", bytes(3_000_000))
    assert (answer.status, answer.text) == (403, "why")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", b"not http\r\n\r\n"])
def test_no_answer_or_half_of_one_means_unavailable(start: Callable[..., Server], answer: bytes) -> None:
    def break_off(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    with pytest.raises(Unavailable, match="does not answer"):
        start(break_off).poster().post("/", b"1")


def test_a_server_that_is_down_means_unavailable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="does not answer"):
        HttpPoster("127.0.0.1", port, {}, 1, 1).post("/", b"")
