"""Packed bodies: whole, in parts, cut short, and made to burst."""

from __future__ import annotations

import gzip
import os
import time
import tracemalloc
import zlib

import cramjam
import lz4.frame
import pytest
import zstandard

from services.otlp_receiver.adapters.bodies import ENCODINGS, LEAST_WINDOW, MAX_PARTS, decompress
from services.otlp_receiver.domain import ExportRefused, Reason

MIB = 1024 * 1024
LIMIT = 5 * MIB
PLAIN = os.urandom(1000) + b"text " * 100_000


def streamed(plain: bytes, level: int = 3) -> bytes:
    """Return a frame as a stream writes it: without the size of what is in it."""
    made = zstandard.ZstdCompressor(level).compressobj()
    first = made.compress(plain[:100]) + made.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return first + made.compress(plain[100:]) + made.flush()


def block(plain: bytes) -> bytes:
    """Return a block of snappy."""
    return bytes(cramjam.snappy.compress_raw(plain))


def framed(plain: bytes) -> bytes:
    """Return a framed stream of snappy."""
    return bytes(cramjam.snappy.compress(plain))


SKIPPABLE = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
CHECKED = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)
PACKED = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "zlib": ("zlib", zlib.compress(PLAIN)),
    "x-gzip": ("X-Gzip", gzip.compress(PLAIN)),
    "a block of snappy": ("snappy", block(PLAIN)),
    "lz4": ("lz4", lz4.frame.compress(PLAIN)),
    "lz4 of a stream": ("lz4", lz4.frame.compress(PLAIN, store_size=False, block_linked=True, content_checksum=True)),
    "lz4 in large blocks": ("lz4", lz4.frame.compress(PLAIN, block_size=lz4.frame.BLOCKSIZE_MAX4MB)),
    "the strongest lz4, runs of one byte": ("lz4", lz4.frame.compress(b"\0" * 3 * MIB, compression_level=12)),
    "zstd": ("zstd", zstandard.compress(PLAIN)),
    "zstd of a stream": ("zstd", streamed(PLAIN)),
    "zstd with a checksum": ("zstd", CHECKED),
    "the strongest zstd": ("zstd", streamed(PLAIN, level=19)),
    "zstd, runs of one byte": ("zstd", zstandard.compress(b"\0" * 3 * MIB)),
}


def refused(packing: str, body: bytes, limit: int = LIMIT) -> ExportRefused:
    with pytest.raises(ExportRefused) as found:
        decompress(body, packing, limit)
    return found.value


@pytest.mark.parametrize("name", PACKED)
def test_a_whole_body_is_taken_and_every_part_of_it_refused(name: str) -> None:
    packing, body = PACKED[name]
    assert zlib.crc32(decompress(body, packing, LIMIT)) in (zlib.crc32(PLAIN), zlib.crc32(b"\0" * 3 * MIB))
    for cut in {1, 4, 5, 9, len(body) // 2, len(body) - 5, len(body) - 1} - {len(body)}:
        assert refused(packing, body[:cut]).reason is Reason.UNDECODABLE, cut


@pytest.mark.parametrize("packing", ["snappy", "x-snappy-framed"])
def test_framed_snappy_is_taken_by_both_its_names_and_refused_in_part(packing: str) -> None:
    assert decompress(framed(PLAIN), packing, LIMIT) == PLAIN
    for cut in (1, 5, 9, 12, len(framed(PLAIN)) // 2, len(framed(PLAIN)) - 1):
        assert refused(packing, framed(PLAIN)[:cut]).reason is Reason.UNDECODABLE, cut
    spoiled = bytearray(framed(PLAIN))
    spoiled[14] ^= 1  # the checksum of its first chunk
    assert refused(packing, bytes(spoiled)).reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("packing", "pack"),
    [
        ("gzip", gzip.compress), ("zstd", zstandard.compress), ("zstd", streamed), ("lz4", lz4.frame.compress),
        ("snappy", framed),
    ],
)  # fmt: skip
def test_members_and_frames_one_after_another_are_one_body(packing: str, pack: object) -> None:
    made = [pack(piece) for piece in (b"ab", b"", b"cd" * 20_000, b"e")]  # type: ignore[operator]
    assert decompress(b"".join(made), packing, LIMIT) == b"ab" + b"cd" * 20_000 + b"e"
    assert refused(packing, b"".join(made)[:-1]).reason is Reason.UNDECODABLE
    assert refused(packing, b"".join(made) + b"rest").reason is Reason.UNDECODABLE


def test_skippable_frames_are_skipped_and_must_be_whole() -> None:
    frame = zstandard.compress(b"abc")
    assert decompress(SKIPPABLE + frame + SKIPPABLE, "zstd", LIMIT) == b"abc"
    assert refused("zstd", frame + SKIPPABLE[:-1]).reason is Reason.UNDECODABLE


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        ("gzip", gzip.compress(b"\0" * 64 * MIB)),
        ("deflate", zlib.compress(b"\0" * 64 * MIB)),
        ("zstd", zstandard.compress(b"\0" * 64 * MIB)),
        ("zstd", streamed(b"\0" * 64 * MIB)),
        ("gzip", gzip.compress(b"\0" * MIB) * 64),
        ("zstd", zstandard.compress(b"\0" * MIB) * 64),
        ("zlib", zlib.compress(b"\0" * 64 * MIB)),
        ("snappy", block(b"\0" * 64 * MIB)),
        ("snappy", framed(b"\0" * 64 * MIB)),
        ("x-snappy-framed", framed(b"\0" * MIB) * 64),
        ("snappy", b"\xff\xff\xff\xff\x0f\0"),
        ("lz4", lz4.frame.compress(b"\0" * 64 * MIB)),
        ("lz4", lz4.frame.compress(b"\0" * MIB) * 64),
    ],
)
def test_what_would_burst_is_refused_as_too_large_and_takes_no_room(packing: str, body: bytes) -> None:
    tracemalloc.start()
    try:
        assert refused(packing, body).reason is Reason.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    finally:
        tracemalloc.stop()


def test_a_few_bytes_that_ask_for_a_large_window_get_none() -> None:
    body = b"\x28\xb5\x2f\xfd\x00" + bytes([17 << 3]) + b"\x01\x00\x00"  # 128 MiB for an empty block
    assert zstandard.get_frame_parameters(body).window_size == 128 * MIB
    problem = refused("zstd", body)
    assert (problem.reason, "window" in str(problem)) == (Reason.TOO_LARGE, True)
    fits = b"\x28\xb5\x2f\xfd\x00" + bytes([13 << 3]) + b"\x01\x00\x00"
    assert zstandard.get_frame_parameters(fits).window_size == LEAST_WINDOW
    assert decompress(fits, "zstd", LIMIT) == b""


@pytest.mark.parametrize(
    ("packing", "body"),
    [
        ("gzip", gzip.compress(b"") * 200_000),
        ("zstd", zstandard.compress(b"") * 400_000),
        ("zstd", b"\x28\xb5\x2f\xfd\x00\x00" + b"\0\0\0" * MIB + b"\x01\0\0"),
        ("zstd", SKIPPABLE * 300_000),
        ("snappy", framed(b"a") * 200_000),
    ],
    ids=["gzip members", "zstd frames", "zstd blocks", "skippable frames", "snappy chunks"],
)
def test_very_many_empty_parts_are_refused_before_they_take_long(packing: str, body: bytes) -> None:
    began = time.process_time()
    problem = refused(packing, body)
    assert (problem.reason, f"more than {MAX_PARTS}" in str(problem)) == (Reason.UNDECODABLE, True)
    assert time.process_time() - began < 2


def outcome(packing: str, body: bytes) -> Reason | None:
    try:
        decompress(body, packing, LIMIT)
    except ExportRefused as problem:
        return problem.reason
    return None


@pytest.mark.parametrize(
    ("packing", "magic"),
    [
        ("gzip", b"\x1f\x8b\x08"), ("zstd", b"\x28\xb5\x2f\xfd"), ("deflate", b"\x78\x9c"), ("zlib", b"\x78\x9c"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40\xa7"), ("snappy", b"\xff\x06\x00\x00sNaPpY"), ("snappy", b"\x40"),
    ],
)  # fmt: skip
def test_noise_is_refused_in_every_packing(packing: str, magic: bytes) -> None:
    noises = [bytes((seed * 31 + n * n * 7) % 256 for n in range(seed % 40 + 1)) for seed in range(300)]
    found = {outcome(packing, head + noise) for noise in noises for head in (b"", magic)}
    assert found <= {Reason.UNDECODABLE, Reason.TOO_LARGE, *([None] if packing == "snappy" else [])}
    assert Reason.UNDECODABLE in found


@pytest.mark.parametrize("packing", ["br", "gzip, zstd", "x" * 200])
def test_an_encoding_that_is_not_taken_is_refused_with_those_that_are(packing: str) -> None:
    problem = refused(packing, b"abc")
    assert problem.reason is Reason.CONTENT_ENCODING
    assert all(name in str(problem) for name in ENCODINGS)
    assert {"gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4", "identity"} <= set(ENCODINGS)
    assert len(str(problem)) < 300
