"""Identifiers: time-ordered random ones, and stable ones derived from content."""

from __future__ import annotations

import hashlib
import os
import uuid
from datetime import datetime


def uuid7(now: datetime) -> str:
    """Return a UUID version 7 (RFC 9562, section 5.7) for an instant: ids sort by creation to the millisecond."""
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def stable_id(*parts: str) -> str:
    """Return 32 hex digits that depend on the parts and their order only (BLAKE2b-128, parts length-prefixed)."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()
