"""Request bodies without their Content-Encoding, bounded while they are decompressed."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Final

import cramjam
import zstandard

from services.otlp_receiver.domain import ExportRefused, Reason

LEAST_WINDOW: Final = 8 * 1024 * 1024  # what every decoder of zstd is to bear (RFC 8878, 3.1.1.1.2)
MAX_PARTS: Final = (
    10_000  # gzip members, frames and blocks of zstd, chunks of snappy: each costs time, and may be empty
)
LZ4_MOST: Final = 256  # bytes at most that one of lz4 becomes
LZ4_LEAST: Final = 4096
SNAPPY_STREAM: Final = b"\xff\x06\x00\x00sNaPpY"  # how a framed one begins, and no block does
PIECE: Final = 16 * 1024  # of gzip fed at once: what is left over at a member's end is copied


def decompress(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Return the body without its Content-Encoding; raises ExportRefused when unknown, broken or over limit bytes."""
    name = content_encoding.strip().lower()
    expand = _EXPANDERS.get(name)
    if expand is None:
        supported = ", ".join(ENCODINGS)
        raise ExportRefused(Reason.CONTENT_ENCODING, f"Content-Encoding {name[:100]!r} is not supported: {supported}")
    plain: bytes | None
    try:
        plain = expand(body, limit + 1)
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError, EOFError) as error:
        raise ExportRefused(Reason.UNDECODABLE, f"the body is not {name}: {error}") from error
    except OverflowError:
        plain = None
    if plain is None or len(plain) > limit:
        raise ExportRefused(Reason.TOO_LARGE, f"the body is larger than {limit} bytes decompressed")
    return plain


def _identity(body: bytes, _: int) -> bytes:
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """Expand gzip members up to limit bytes in all."""
    plain, members = bytearray(), 0
    rest, position = b"", 0
    while (rest or position < len(body)) and len(plain) < limit:
        members += 1
        if members > MAX_PARTS:
            raise EOFError(f"it has more than {MAX_PARTS} members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof and len(plain) < limit:
            if not rest:
                rest, position = body[position : position + PIECE], position + PIECE
            if not rest:
                raise EOFError("it ends too early")
            plain += member.decompress(rest, limit - len(plain))
            rest = member.unused_data if member.eof else member.unconsumed_tail
    return bytes(plain)


def _deflate(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    plain = stream.decompress(body, limit)
    if not stream.eof and len(plain) < limit:
        raise EOFError("it ends too early")
    return plain


def _zstd(body: bytes, limit: int) -> bytes:
    window = max(LEAST_WINDOW, 1 << (limit - 1).bit_length())
    for frame in _zstd_frames(body):
        if frame.window_size > window:
            raise ExportRefused(Reason.TOO_LARGE, f"the zstd window is {frame.window_size} bytes, at most {window} fit")
    decompressor = zstandard.ZstdDecompressor(max_window_size=window)
    with decompressor.stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        return reader.read(limit)


def _zstd_frames(body: bytes) -> Iterator[zstandard.FrameParameters]:
    """Yield what each frame asks for, before anything is set aside for it; raises EOFError when the last is cut off.

    The reader itself takes half a frame for a whole one. https://www.rfc-editor.org/rfc/rfc8878#section-3
    """
    position = parts = 0
    while position < len(body):
        if body[position + 1 : position + 4] == b"\x2a\x4d\x18" and body[position] & 0xF0 == 0x50:  # skippable
            end, blocks = position + 8 + int.from_bytes(body[position + 4 : position + 8], "little"), 1
        else:
            head = body[position : position + 18]  # the largest there is
            frame = zstandard.get_frame_parameters(head)
            yield frame
            end, blocks = _zstd_blocks(body, position + zstandard.frame_header_size(head), MAX_PARTS - parts)
            end += 4 * frame.has_checksum
        if end > len(body):
            raise EOFError("it ends too early")
        position, parts = end, parts + blocks
        if parts > MAX_PARTS:
            raise EOFError(f"it has more than {MAX_PARTS} frames and blocks")


def _zstd_blocks(body: bytes, position: int, most: int) -> tuple[int, int]:
    """Return where the blocks from a position on end, and how many there are."""
    for count in range(1, most + 1):
        if position + 3 > len(body):
            raise EOFError("it ends too early")
        header = int.from_bytes(body[position : position + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        position += 3 + (1 if kind == 1 else size)
        if last:
            return position, count
    raise EOFError(f"it has more than {MAX_PARTS} frames and blocks")


def _snappy(body: bytes, limit: int) -> bytes:
    """Expand a block, or a framed stream: Collectors sent one by this name for years and then the other."""
    if body.startswith(SNAPPY_STREAM):
        return _framed_snappy(body, limit)
    if not body:
        raise EOFError("it ends too early")
    if cramjam.snappy.decompress_raw_len(body) >= limit:
        raise OverflowError
    return bytes(cramjam.snappy.decompress_raw(body))


def _framed_snappy(body: bytes, limit: int) -> bytes:
    size = 0
    for chunk in _snappy_chunks(body):
        size += chunk
        if size >= limit:
            raise OverflowError
    return bytes(cramjam.snappy.decompress(body))  # which looks after the checksums


def _snappy_chunks(body: bytes) -> Iterator[int]:
    """Yield how many bytes each chunk becomes. https://github.com/google/snappy/blob/main/framing_format.txt"""
    position = parts = 0
    while position < len(body):
        kind, size = body[position], int.from_bytes(body[position + 1 : position + 4], "little")
        data, position, parts = position + 8, position + 4 + size, parts + 1  # four bytes of checksum go before data
        if position > len(body):
            raise EOFError("it ends too early")
        if parts > MAX_PARTS:
            raise EOFError(f"it has more than {MAX_PARTS} chunks")
        if kind == 0:
            yield cramjam.snappy.decompress_raw_len(body[data : data + 10])
        elif kind == 1:
            yield max(0, size - 4)


def _lz4(body: bytes, limit: int) -> bytes:
    """Expand lz4 frames into a place that holds no more than the limit."""
    place = bytearray(min(limit, LZ4_MOST * len(body) + LZ4_LEAST))
    try:
        size = cramjam.lz4.decompress_into(body, place)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error) and len(place) == limit:  # what its writer says when there is no more room
            raise OverflowError from error
        raise
    return bytes(place[:size])


_EXPANDERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zlib": _deflate,
    "zstd": _zstd,
    "snappy": _snappy,
    "x-snappy-framed": _framed_snappy,
    "lz4": _lz4,
}
ENCODINGS: Final = tuple(sorted(filter(None, _EXPANDERS)))
