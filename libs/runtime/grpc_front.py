"""In front of a gRPC server: tells clients that compress by what it does not know what it does, as gRPC asks.

The C core fails such calls before any code of ours sees them: INTERNAL, `Error parsing 'grpc-encoding' metadata`, which
tells a person nothing (grpc/grpc 36770). So the server listens on a socket of its own and this passes bytes on, as they
are but for that one answer. https://github.com/grpc/grpc/blob/master/doc/compression.md
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from prometheus_client import Counter

ENCODINGS: Final = "identity, deflate, gzip"  # what the C core takes
UNIMPLEMENTED: Final = b"12"
REFUSED = Counter("incidentscope_grpc_unknown_compressions_total", "Calls compressed in a way that is not known")
log = structlog.get_logger()
_HEADERS, _HEAD = 1, 9  # the type of an HTTP/2 frame, and the bytes before its payload


def _field(name: bytes, value: bytes) -> bytes:
    """Return a header as HPACK writes one that no table keeps (RFC 7541, 6.2.2), short enough for lengths of a byte."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


_BEGIN: Final = _field(b":status", b"200") + _field(b"content-type", b"application/grpc")
UNKNOWN: Final = (
    _BEGIN + _field(b"grpc-status", b"13") + _field(b"grpc-message", b"Error parsing 'grpc-encoding' metadata")
)
TOLD: Final = (
    _BEGIN
    + _field(b"grpc-status", UNIMPLEMENTED)
    + _field(b"grpc-message", f"this grpc-encoding is not supported: use one of {ENCODINGS}".encode())
    + _field(b"grpc-accept-encoding", ENCODINGS.encode())
)


class Answers:
    """The frames a server sends, in pieces as they come; the one answer is replaced, all else is passed on at once."""

    def __init__(self) -> None:
        self._kept = b""  # the begin of a frame's head, or of a frame that may be the one
        self._passing = 0  # bytes left of a payload that is not

    def feed(self, data: bytes) -> bytes:
        """Return what to pass on after these bytes."""
        data, self._kept = self._kept + data, b""
        passed, position = bytearray(), 0
        while position < len(data):
            if not self._passing:
                size = _frame_size(data, position)
                if size is None or (_maybe_unknown(data, position) and position + size > len(data)):
                    self._kept = data[position:]
                    break
                if data[position + _HEAD : position + size] == UNKNOWN and _maybe_unknown(data, position):
                    passed += _told(data[position : position + _HEAD])
                    position += size
                    continue
                self._passing = size
            end = min(len(data), position + self._passing)
            passed += data[position:end]
            self._passing -= end - position
            position = end
        return bytes(passed)


def _frame_size(data: bytes, position: int) -> int | None:
    """Return the bytes of the frame that begins there, None while its head is not all there."""
    head = data[position : position + _HEAD]
    return _HEAD + int.from_bytes(head[:3], "big") if len(head) == _HEAD else None


def _maybe_unknown(data: bytes, position: int) -> bool:
    return data[position + 3] == _HEADERS and int.from_bytes(data[position : position + 3], "big") == len(UNKNOWN)


def _told(head: bytes) -> bytes:
    """Return our answer with the flags and the stream of the frame it replaces."""
    REFUSED.inc()
    return len(TOLD).to_bytes(3, "big") + head[3:] + TOLD


class _Side(asyncio.Protocol):
    """One end of a relayed connection: what it hears goes to the other, which waits while this one cannot take more."""

    def __init__(self, front: Front, answers: Answers | None = None) -> None:
        self.front = front
        self.other: _Side | None = None
        self.transport: asyncio.Transport
        self._answers = answers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the transport."""
        self.transport = transport
        self.front.opened(self)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        if self.other is not None:
            self.other.transport.write(data if self._answers is None else self._answers.feed(data))

    def pause_writing(self) -> None:
        """Have the other side read no more for now."""
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Have the other side read on."""
        if self.other is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # as asyncio calls it
        """Close the other side, once it has sent what it was given."""
        self.front.closed(self)
        if self.other is not None:
            self.other.transport.close()


class Front:
    """Relays connections to a server on a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listening: asyncio.Server | None = None
        self._connecting: set[asyncio.Task[None]] = set()  # a loop keeps weak references only
        self._open: set[_Side] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    async def listen(self, host: str, port: int) -> int:
        """Take connections and return the port, a free one for 0; raises OSError when it cannot be had."""
        self._listening = await asyncio.get_running_loop().create_server(lambda: _Client(self), host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    def take_no_more(self) -> None:
        """Take no new connections; those there are go on."""
        if self._listening is not None:
            self._listening.close()

    async def close(self) -> None:
        """End what is left."""
        self.take_no_more()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for side in self._open:
            side.transport.abort()
        await self._idle.wait()

    def opened(self, side: _Side) -> None:
        """Keep an end of a connection in mind."""
        self._open.add(side)
        self._idle.clear()

    def closed(self, side: _Side) -> None:
        """Forget an end of a connection."""
        self._open.discard(side)
        if not self._open:
            self._idle.set()

    def connect(self, client: _Side) -> None:
        """Begin to give a client its connection to the server."""
        task = asyncio.create_task(self._connect(client))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, client: _Side) -> None:
        server = _Side(self, Answers())
        try:
            await asyncio.get_running_loop().create_unix_connection(lambda: server, self._path)
        except OSError as error:
            log.warning("grpc_server_away", error=repr(error))
            client.transport.abort()
            return
        server.other, client.other = client, server
        if client.transport.is_closing():
            server.transport.close()
        else:
            client.transport.resume_reading()


class _Client(_Side):
    """A client's end. Nothing of it is read before the server's end is there."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Connect to the server."""
        super().connection_made(transport)
        transport.pause_reading()
        self.front.connect(self)
