"""Request bodies: bounded while they arrive, and bounded again while they are decompressed."""

from __future__ import annotations

import io
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import zstandard

from services.otlp_receiver.domain import ExportRefused, Reason

ZSTD_WINDOW: Final = 1 << 27  # bytes; what a frame may make us allocate
DRAIN: Final = 64 * 1024 * 1024  # read this much of an oversized body, so that the sender can hear the answer


async def read_bounded(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Return the body; raises ExportRefused `too_large` once it is longer than limit bytes."""
    body = bytearray()
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > DRAIN:
            break
        if size <= limit:
            body += chunk
    if size > limit:
        raise ExportRefused(Reason.TOO_LARGE, f"the body is larger than {limit} bytes; send smaller batches")
    return bytes(body)


def decompress(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Return the body without its Content-Encoding; raises ExportRefused when unknown, broken or over limit bytes."""
    name = content_encoding.strip().lower()
    expand = _EXPANDERS.get(name)
    if expand is None:
        supported = ", ".join(sorted(filter(None, _EXPANDERS)))
        raise ExportRefused(Reason.CONTENT_ENCODING, f"Content-Encoding {name!r} is not supported: {supported}")
    try:
        plain = expand(body, limit + 1)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise ExportRefused(Reason.UNDECODABLE, f"the body is not {name}: {error}") from error
    if len(plain) > limit:
        raise ExportRefused(Reason.TOO_LARGE, f"the body is larger than {limit} bytes decompressed")
    return plain


def _identity(body: bytes, _: int) -> bytes:
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    """Expand gzip members up to limit bytes in all."""
    plain = bytearray()
    while body and len(plain) < limit:
        member = zlib.decompressobj(wbits=31)
        plain += member.decompress(body, limit - len(plain))
        if not member.eof and len(plain) < limit:
            raise EOFError("it ends too early")
        body = member.unused_data
    return bytes(plain)


def _deflate(body: bytes, limit: int) -> bytes:
    stream = zlib.decompressobj()
    plain = stream.decompress(body, limit)
    if not stream.eof and len(plain) < limit:
        raise EOFError("it ends too early")
    return plain


def _zstd(body: bytes, limit: int) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).stream_reader(
        io.BytesIO(body), read_across_frames=True
    )
    plain = reader.read(limit)
    if body and not plain:
        raise EOFError("it ends too early")
    return plain


_EXPANDERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
