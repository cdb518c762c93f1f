"""Label sets and their identity."""

from __future__ import annotations

from collections.abc import Mapping

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
SEPARATOR = b"\xff"  # in no UTF-8 text, so ("ab", "c") and ("a", "bc") differ


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return the identity of a label set, independent of order, as Alertmanager has it.

    FNV-1a 64 over the sorted names and values, in 16 lower-case hex digits.
    """
    digest = FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + SEPARATOR + labels[name].encode() + SEPARATOR:
            digest = (digest ^ byte) * FNV_PRIME & 0xFFFF_FFFF_FFFF_FFFF
    return f"{digest:016x}"
