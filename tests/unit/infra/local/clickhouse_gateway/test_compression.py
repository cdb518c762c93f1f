"""Compressed frames, and what happens where their packages are missing."""

from __future__ import annotations

import sys

import pytest
import zstandard

from infra.local.clickhouse_gateway.compression import Codec
from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.streams import ByteStream, Truncated


@pytest.fixture
def codec() -> Codec:
    """The codec; its packages are an extra of clickhouse-driver."""
    return Codec()


def _unpacked(codec: Codec, frames: bytes) -> bytes:
    stream, out = ByteStream.over(frames), b""
    while not stream.at_end():
        out += codec.unpack(stream)
    return out


def test_frames_come_back_as_they_went_in(codec: Codec) -> None:
    data = bytes(range(256)) * 10_000
    assert _unpacked(codec, codec.pack(data)) == data
    assert codec.pack(b"") == b""


def test_damaged_frames_are_refused(codec: Codec) -> None:
    frame = codec.pack(b"some data " * 100)
    for at in range(len(frame)):
        with pytest.raises((EngineError, Truncated)):
            _unpacked(codec, frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
    with pytest.raises(Truncated):
        _unpacked(codec, frame[:-1])


def test_other_methods_are_read(codec: Codec) -> None:
    for method, packed in ((0x90, zstandard.ZstdCompressor().compress(b"x" * 99)), (0x02, b"x" * 99)):
        body = bytes([method]) + (9 + len(packed)).to_bytes(4, "little") + (99).to_bytes(4, "little") + packed
        assert _unpacked(codec, codec._checksum(body) + body) == b"x" * 99


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clickhouse_cityhash.cityhash", None)
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(EngineError, match=r"install clickhouse-driver\[lz4\]") as failed:
        Codec()
    assert failed.value.code == 344
