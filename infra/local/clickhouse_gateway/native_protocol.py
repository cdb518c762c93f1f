"""Packets of the native protocol, at the revision that server and client agreed on in their hellos."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from infra.local.clickhouse_gateway import native_revisions as since
from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.errors import UNEXPECTED_PACKET, EngineError
from infra.local.clickhouse_gateway.native_blocks import (
    BLOCK_INFO,
    BlockShape,
    header_block,
    skip_block_info,
    walk_block,
)
from infra.local.clickhouse_gateway.session import NOTHING_WRITTEN, Written, unquote_string
from infra.local.clickhouse_gateway.streams import ByteStream, Sink, int32_bytes, text_bytes, uint8_bytes, varint_bytes

SERVER_NAME = "ClickHouse"
MAX_QUERY_BYTES = 64 << 20
_MAX_NAME_BYTES = 1 << 16
_MAX_SETTING_BYTES = 1 << 20
_TCP_INTERFACE = 1
_TRACE_BYTES = 24  # trace and span id


class ClientPacket(IntEnum):
    """What a client may send."""

    HELLO = 0
    QUERY = 1
    DATA = 2
    CANCEL = 3
    PING = 4


class ServerPacket(IntEnum):
    """What the server sends."""

    HELLO = 0
    DATA = 1
    EXCEPTION = 2
    PROGRESS = 3
    PONG = 4
    END_OF_STREAM = 5
    PROFILE_INFO = 6
    PROFILE_EVENTS = 14


@dataclass(frozen=True)
class Hello:
    """How a client introduces itself."""

    client: str
    revision: int
    database: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Query:
    """A statement with its settings; `parameters` are those sent as such, and the settings named param_x."""

    query_id: str
    text: str
    settings: Mapping[str, str]
    important: frozenset[str]
    parameters: Mapping[str, str]
    compressed: bool


class PacketReader:
    """Reads a client's packets. Raises EngineError on what is not one, Truncated at an early end."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._plain: ByteStream | None = None
        self.revision = since.OLDEST

    def at_end(self) -> bool:
        """Wait for the next packet; True when the client has closed the connection."""
        return self._stream.at_end()

    def kind(self) -> int:
        """Read a packet's type."""
        return self._stream.varint()

    def hello(self) -> Hello:
        """Read the rest of a hello."""
        stream = self._stream
        client = stream.text(_MAX_NAME_BYTES)
        stream.varint()
        stream.varint()
        revision = stream.varint()
        database, user, password = (stream.text(_MAX_NAME_BYTES) for _ in range(3))
        return Hello(client, revision, database, user, password)

    def addendum(self) -> None:
        """Read what a client adds to its hello once it knows the server's revision: a quota key."""
        if self.revision >= since.QUOTA_KEY:
            self._stream.raw(_MAX_NAME_BYTES)

    def query(self) -> Query:
        """Read the rest of a query."""
        stream = self._stream
        query_id = stream.text(_MAX_NAME_BYTES)
        self._client_info()
        settings, important = self._settings()
        if self.revision >= since.INTERSERVER_SECRET:
            stream.raw(_MAX_NAME_BYTES)
        stream.varint()  # processing stage: always complete
        compressed = bool(stream.varint())
        text = stream.text(MAX_QUERY_BYTES)
        parameters = {n.removeprefix("param_"): v for n, v in settings.items() if n.startswith("param_")}
        if self.revision >= since.PARAMETERS:
            parameters |= {n: unquote_string(v) for n, v in self._settings()[0].items()}
        plain = {n: v for n, v in settings.items() if not n.startswith("param_")}
        return Query(query_id, text, plain, frozenset(important), parameters, compressed)

    def block(self, codec: Codec | None, sink: Sink) -> tuple[str, BlockShape]:
        """Read the rest of a data packet: its table's name and its block, whose bytes go to the sink."""
        name = self._stream.text(_MAX_NAME_BYTES)
        stream = self._stream if codec is None else self._unpacked(codec)
        skip_block_info(stream)
        stream.start_tee(sink)
        try:
            shape = walk_block(stream, self.revision)
        finally:
            stream.stop_tee()
        return name, shape

    def _unpacked(self, codec: Codec) -> ByteStream:
        if self._plain is None:
            self._plain = ByteStream(lambda _most: codec.unpack(self._stream))
        return self._plain

    def _client_info(self) -> None:
        stream = self._stream
        if not stream.byte():
            return
        for _ in range(3):  # initial user, query id, address
            stream.raw(_MAX_NAME_BYTES)
        if self.revision >= since.QUERY_START_TIME:
            stream.skip(8)
        if stream.byte() != _TCP_INTERFACE:
            raise EngineError(
                UNEXPECTED_PACKET,
                "Only clients of the native protocol are served here",
                "UNEXPECTED_PACKET_FROM_CLIENT",
            )
        for _ in range(3):  # operating system user, host, client
            stream.raw(_MAX_NAME_BYTES)
        for _ in range(3):  # version and revision
            stream.varint()
        stream.raw(_MAX_NAME_BYTES)  # quota key
        if self.revision >= since.DISTRIBUTED_DEPTH:
            stream.varint()
        stream.varint()  # version patch
        if self.revision >= since.OPENTELEMETRY and stream.byte():
            stream.skip(_TRACE_BYTES)
            stream.raw(_MAX_NAME_BYTES)  # trace state
            stream.skip(1)  # trace flags
        if self.revision >= since.PARALLEL_REPLICAS:
            for _ in range(3):
                stream.varint()

    def _settings(self) -> tuple[dict[str, str], set[str]]:
        values: dict[str, str] = {}
        important: set[str] = set()
        while name := self._stream.text(_MAX_NAME_BYTES):
            if self._stream.varint() & 1:
                important.add(name)
            values[name] = self._stream.text(_MAX_SETTING_BYTES)
        return values, important


class PacketWriter:
    """Writes the server's packets to a socket, buffering small ones. Raises OSError when the client is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._out = bytearray()
        self.revision = since.OLDEST

    def hello(self, version: str, timezone: str) -> None:
        """Introduce the server; `version` is like 26.9.2.1."""
        major, minor, patch = (int(part) for part in version.split(".")[:3])
        self._add(ServerPacket.HELLO, text_bytes(SERVER_NAME), varint_bytes(major), varint_bytes(minor))
        self._out += (
            varint_bytes(since.REVISION) + text_bytes(timezone) + text_bytes(socket.gethostname()) + varint_bytes(patch)
        )

    def data(self, block: bytes, codec: Codec | None) -> None:
        """Send one block."""
        content = BLOCK_INFO + block
        self._add(ServerPacket.DATA, b"\x00", content if codec is None else codec.pack(content))
        if len(self._out) > 1 << 16:
            self.flush()

    def progress(self, rows: int, size: int, written: Written = NOTHING_WRITTEN, *, nanoseconds: int) -> None:
        """Send how much was read and written, and in what time."""
        numbers = [rows, size, rows, written.rows, written.bytes]
        if self.revision >= since.ELAPSED_IN_PROGRESS:
            numbers.append(nanoseconds)
        self._add(ServerPacket.PROGRESS, *map(varint_bytes, numbers))

    def profile(self, rows: int, blocks: int, size: int) -> None:
        """Send the size of the result."""
        self._add(ServerPacket.PROFILE_INFO, *map(varint_bytes, (rows, blocks, size, 0, 0, 0)))

    def block_received(self) -> None:
        """Say that a block of an insert has come, as newer clients wait for its profile events: there are none."""
        if self.revision >= since.EVENTS_OF_INSERT:
            self._add(ServerPacket.PROFILE_EVENTS, b"\x00", BLOCK_INFO, header_block([]))
            self.flush()

    def exception(self, error: EngineError) -> None:
        """Send an error."""
        message = error.text().partition(". ")[2]
        name, stack = text_bytes("DB::Exception"), text_bytes("")
        self._add(ServerPacket.EXCEPTION, int32_bytes(error.code), name, text_bytes(message), stack, uint8_bytes(0))

    def end_of_stream(self) -> None:
        """End the answer to a query."""
        self._add(ServerPacket.END_OF_STREAM)

    def pong(self) -> None:
        """Answer a ping."""
        self._add(ServerPacket.PONG)

    def flush(self) -> None:
        """Send what is buffered."""
        if self._out:
            data, self._out = self._out, bytearray()
            self._socket.sendall(data)

    def _add(self, kind: ServerPacket, *parts: bytes) -> None:
        self._out += varint_bytes(kind)
        for part in parts:
            self._out += part
