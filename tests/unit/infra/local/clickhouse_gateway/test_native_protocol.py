"""Packets by the revision that client and server agreed on."""

from __future__ import annotations

import socket

import pytest

from infra.local.clickhouse_gateway import native_revisions as since
from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.native_protocol import PacketReader, PacketWriter, Query, ServerPacket
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated, text_bytes, varint_bytes

TRACE = b"\x01" + b"\x07" * 24 + text_bytes("k=v") + b"\x01"


def _info(revision: int, trace: bytes = b"\x00") -> bytes:
    out = b"\x01" + text_bytes("") * 2 + text_bytes("127.0.0.1:1")
    out += b"\x09" * 8 if revision >= since.QUERY_START_TIME else b""
    out += b"\x01" + text_bytes("user") + text_bytes("host") + text_bytes("client")
    out += varint_bytes(1) + varint_bytes(2) + varint_bytes(revision) + text_bytes("quota")
    out += varint_bytes(3) if revision >= since.DISTRIBUTED_DEPTH else b""
    out += varint_bytes(4)
    out += trace if revision >= since.OPENTELEMETRY else b""
    return out + (b"\x01\x02\x03" if revision >= since.PARALLEL_REPLICAS else b"")


def _query(revision: int, *parameters: tuple[str, str], trace: bytes = b"\x00") -> bytes:
    settings = text_bytes("max_threads") + b"\x01" + text_bytes("3") + text_bytes("param_a") + b"\x00" + text_bytes("1")
    out = text_bytes("id") + _info(revision, trace) + settings + b"\x00"
    out += text_bytes("secret") if revision >= since.INTERSERVER_SECRET else b""
    out += b"\x02\x01" + text_bytes("SELECT 1")
    if revision >= since.PARAMETERS:
        out += b"".join(text_bytes(name) + b"\x02" + text_bytes(value) for name, value in parameters) + b"\x00"
    return out


def _read(revision: int, data: bytes) -> Query:
    stream = ByteStream.over(data)
    reader = PacketReader(stream)
    reader.revision = revision
    query = reader.query()
    assert stream.at_end()
    return query


REVISIONS = sorted({since.OLDEST, *(n for n in vars(since).values() if isinstance(n, int))})


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("trace", [b"\x00", TRACE])
def test_a_query_is_read_to_its_end_at_every_revision(revision: int, trace: bytes) -> None:
    query = _read(revision, _query(revision, trace=trace))
    assert (query.query_id, query.text, query.compressed) == ("id", "SELECT 1", True)
    assert (query.settings, query.parameters) == ({"max_threads": "3"}, {"a": "1"})
    assert query.important == {"max_threads"}


@pytest.mark.parametrize("end", range(1, 60))
def test_a_query_cut_anywhere_is_noticed(end: int) -> None:
    data = _query(since.REVISION, ("p", "'x'"))
    with pytest.raises(Truncated):
        _read(since.REVISION, data[:-end])


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("'x'", "x"),
        ("'it\\'s'", "it's"),
        ("'it''s'", "it's"),
        ("'a\\\\b\\nc\\td'", "a\\b\nc\td"),
        ("''", ""),
        ("42", "42"),
        ("'", "'"),
    ],
)
def test_a_parameter_is_a_quoted_string(sent: str, expected: str) -> None:
    assert _read(since.REVISION, _query(since.REVISION, ("p", sent))).parameters == {"a": "1", "p": expected}


def test_only_clients_of_the_native_protocol_are_served() -> None:
    data = _query(since.REVISION).replace(b"\x09\x01\x04user", b"\x09\x02\x04user")
    with pytest.raises(EngineError, match="Only clients of the native protocol"):
        _read(since.REVISION, data)


def _written(revision: int) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = PacketWriter(ours)
        writer.revision = revision
        writer.progress(5, 6, nanoseconds=7)
        writer.block_received()
        writer.flush()
        return theirs.recv(1000)


def test_progress_and_an_answer_to_each_block_come_only_where_they_are_waited_for() -> None:
    old = varint_bytes(ServerPacket.PROGRESS) + bytes([5, 6, 5, 0, 0])
    received = varint_bytes(ServerPacket.PROFILE_EVENTS) + b"\x00\x01\x00\x02\xff\xff\xff\xff\x00\x00\x00"
    assert _written(since.OLDEST) == _written(since.EVENTS_OF_INSERT - 1) == old
    assert _written(since.EVENTS_OF_INSERT) == old + received
    assert _written(since.REVISION) == old + b"\x07" + received
