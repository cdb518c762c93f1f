"""Content-Encodings, there and back."""

from __future__ import annotations

import gzip
import zlib
from importlib import import_module
from typing import Any

import pytest
import zstandard

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.http_encodings import ENCODINGS, BodyDecoder, choose_encoding, new_packer, packed

LZ4: Any = import_module("lz4.frame")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", ""),
        ("identity", ""),
        ("br", ""),
        ("gzip, deflate, br, zstd", "gzip"),
        ("LZ4", "lz4"),
        ("zstd;q=1.0, lz4;q=0.5", "zstd"),
        ("gzip;q=0, zstd ; q=0.5", "zstd"),
        ("gzip;q=0.0", ""),
        ("x-gzip", ""),
        (";;,,", ""),
    ],
)
def test_the_first_encoding_of_ours_that_a_client_takes_is_chosen(accepted: str, expected: str) -> None:
    assert choose_encoding(accepted) == expected


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("pieces", [[], [b""], [b"one"], [b"some rows\n" * 1000] * 50])
def test_what_is_packed_comes_back(encoding: str, pieces: list[bytes]) -> None:
    ready = list(packed(new_packer(encoding), iter(pieces)))
    assert all(ready)
    assert _decode(encoding, b"".join(ready), 1000) == b"".join(pieces)


def _decode(encoding: str, data: bytes, step: int) -> bytes:
    out = bytearray()
    decoder = BodyDecoder(encoding, out.extend)
    for at in range(0, len(data), step):
        decoder.feed(data[at : at + step])
    decoder.finish()
    return bytes(out)


PLAIN = b"some rows\n" * 50_000


@pytest.mark.parametrize("step", [1000, 1 << 20])
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("gzip", gzip.compress(PLAIN)),
        ("GZIP", gzip.compress(PLAIN)),
        ("deflate", zlib.compress(PLAIN)),
        ("zstd", zstandard.ZstdCompressor().compress(PLAIN)),
        ("lz4", LZ4.compress(PLAIN)),
    ],
)
def test_an_encoding_is_undone_in_pieces(encoding: str, data: bytes, step: int) -> None:
    assert _decode(encoding, data, step) == PLAIN


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", PLAIN),
        ("gzip", gzip.compress(PLAIN)[:-9]),
        ("deflate", zlib.compress(PLAIN)[:-9]),
        ("zstd", zstandard.ZstdCompressor().compress(PLAIN)[:-3]),
        ("zstd", PLAIN),
        ("lz4", LZ4.compress(PLAIN)[:-3]),
        ("lz4", PLAIN),
        ("br", PLAIN),
    ],
)
def test_a_damaged_or_unknown_encoding_is_refused(encoding: str, data: bytes) -> None:
    with pytest.raises(EngineError):
        _decode(encoding, data, 1000)


def test_a_bomb_comes_out_in_pieces() -> None:
    class _Full(Exception):
        pass

    seen: list[int] = []

    def sink(data: bytes) -> None:
        seen.append(len(data))
        if sum(seen) > 1 << 20:
            raise _Full

    for encoding, bomb in (
        ("gzip", gzip.compress(bytes(64 << 20))),
        ("zstd", zstandard.ZstdCompressor().compress(bytes(64 << 20))),
        ("lz4", LZ4.compress(bytes(64 << 20))),
    ):
        seen.clear()
        with pytest.raises(_Full):
            BodyDecoder(encoding, sink).feed(bomb)
        assert sum(seen) <= 10 << 20
