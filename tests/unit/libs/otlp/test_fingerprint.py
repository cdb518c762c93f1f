from __future__ import annotations

import pytest

from libs.otlp.fingerprint import fingerprint


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "ef46db3751d8e999"),
        (b"a", "d24ec4f1a98c6e5b"),
        (b"abc", "44bc2cf5ad770999"),
        (b"Nobody inspects the spammish repetition", "fbcea83c8a378bf1"),
    ],
)
def test_the_hash_is_the_one_others_compute(body: bytes, expected: str) -> None:
    assert fingerprint(body) == expected


def test_every_byte_of_a_long_body_counts() -> None:
    body = bytes(range(256)) * 2
    changed = {fingerprint(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]) for at in range(len(body))}
    assert len(changed) == len(body)
    assert len({fingerprint(body[:size]) for size in range(100)}) == 100
