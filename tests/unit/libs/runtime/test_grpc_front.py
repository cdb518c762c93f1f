"""What stands before a gRPC server: bytes go through as they are, but for one answer."""

from __future__ import annotations

import asyncio
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.kernel.errors import IncidentScopeError
from libs.runtime import grpc_server
from libs.runtime.grpc_front import ENCODINGS, TOLD, UNKNOWN, Answers, Front
from libs.runtime.lifecycle import Lifecycle
from libs.runtime.settings import ServiceSettings
from tests.access_world import MINE, registry

HEADERS, DATA, END_STREAM, END_HEADERS = 1, 0, 1, 4
METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def field(name: str, value: str) -> bytes:
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def request(encoding: str, stream: int, message: bytes = b"abc") -> bytes:
    """Return a call whose message says that it is compressed."""
    fields = {":method": "POST", ":scheme": "http", ":path": METHOD, ":authority": "x", "te": "trailers",
              "content-type": "application/grpc", "grpc-encoding": encoding}  # fmt: skip
    body = b"\x01" + struct.pack(">I", len(message)) + message
    head = b"".join(field(name, value) for name, value in fields.items())
    return frame(HEADERS, END_HEADERS, stream, head) + frame(DATA, END_STREAM, stream, body)


BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
ODD = frame(HEADERS, END_STREAM | END_HEADERS, 7, UNKNOWN)
SAID = frame(HEADERS, END_STREAM | END_HEADERS, 7, TOLD)
STREAM = [
    (frame(4, 0, 0, b""), None),
    (frame(HEADERS, END_HEADERS, 1, b"x" * len(UNKNOWN)), None),
    (ODD, SAID),
    (frame(DATA, 0, 1, b"y" * 9 + UNKNOWN), None),
    (frame(DATA, 0, 1, UNKNOWN), None),
    (frame(DATA, 0, 1, b""), None),
    (frame(DATA, 0, 1, ODD), None),
    (ODD, SAID),
    (frame(7, 0, 0, b"z" * 300), None),
]


@pytest.mark.parametrize("piece", [1, 2, 8, 9, 10, 50, len(ODD), 10_000])
def test_only_the_one_answer_is_replaced_in_whatever_pieces_it_comes(piece: int) -> None:
    sent = b"".join(plain for plain, _ in STREAM)
    answers = Answers()
    passed = b"".join(answers.feed(sent[i : i + piece]) for i in range(0, len(sent), piece))
    assert passed == b"".join(other or plain for plain, other in STREAM)


def test_what_is_not_the_answer_is_passed_on_at_once() -> None:
    answers, half = Answers(), frame(DATA, 0, 1, b"y" * 100)[:50]
    assert answers.feed(half) == half
    assert answers.feed(frame(DATA, 0, 1, b"y" * 100)[50:] + ODD[:20]).endswith(b"yyy")
    assert answers.feed(ODD[20:]) == SAID


async def export(body: bytes, _context: Any) -> bytes:
    return body[::-1]


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        service = {"Export": grpc.unary_unary_rpc_method_handler(export)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD.split("/")[1], service),))
        path = str(Path(folder) / "server")
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        front = Front(path)
        try:
            yield await front.listen("127.0.0.1", 0)
        finally:
            await front.close()
            await server.stop(None)


async def until(reader: asyncio.StreamReader, wanted: bytes) -> bytes:
    return await asyncio.wait_for(reader.readuntil(wanted), 10)


@pytest.mark.parametrize("encoding", ["snappy", "zstd", "x"])
def test_a_compression_that_is_not_known_is_answered_with_those_that_are(encoding: str) -> None:
    async def story() -> None:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BEGIN + request(encoding, 1))
            assert await until(reader, TOLD)
            for stream in (3, 5):
                writer.write(request(encoding, stream))
                assert (await until(reader, TOLD)).endswith(frame(HEADERS, 5, stream, TOLD))
            writer.close()
            await writer.wait_closed()

    asyncio.run(story())
    assert field("grpc-status", "12") in TOLD
    assert field("grpc-accept-encoding", ENCODINGS) in TOLD
    assert all(name.encode() in TOLD for name in ("gzip", "deflate", "identity"))


@pytest.mark.parametrize("compression", list(grpc.Compression))
def test_calls_go_through_whole_whatever_their_size(compression: grpc.Compression) -> None:
    async def story() -> None:
        async with served() as port:
            options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options, compression=compression) as channel:
                call = channel.unary_unary(METHOD, None, None)
                bodies = [bytes([n]) * size for n, size in enumerate((0, 1, 100_000, 20_000_000))]
                assert await asyncio.gather(*(call(body) for body in bodies)) == bodies
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(BEGIN)
            assert (await until(reader, frame(4, 1, 0, b"")))[3:5] == b"\x04\x00"
            writer.close()
            await writer.wait_closed()

    asyncio.run(story())


def test_a_server_that_is_not_there_ends_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        front = Front(str(tmp_path / "nothing"))
        reader, writer = await asyncio.open_connection("127.0.0.1", await front.listen("127.0.0.1", 0))
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
        await front.close()

    asyncio.run(story())


def test_a_server_behind_it_is_stopped_whole_and_a_port_in_use_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        lifecycle = Lifecycle("test", ServiceSettings(health_port=0))
        tenants = registry(tmp_path, MINE)
        port = await grpc_server.serve_grpc(lifecycle, 0, tenants, lambda _server: None, (), tell_compressions=True)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
            assert await check(b"") == b"\x08\x01"
        with pytest.raises(
            IncidentScopeError, match=f"cannot listen on 127.0.0.1:{port} for gRPC; choose another port"
        ):
            await grpc_server.serve_grpc(lifecycle, port, tenants, lambda _server: None, (), tell_compressions=True)
        await lifecycle.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asyncio.run(story())
    assert list(tmp_path.glob("grpc-*")) == []
