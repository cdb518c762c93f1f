"""The key in an `Authorization` header."""

from __future__ import annotations

import base64

import pytest

from libs.kernel.authorization import authorization_key


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("", ""),
        ("   ", ""),
        ("Bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("Token abc", "abc"),
        ('Token "abc"', "abc"),
        ("ApiKey abc", "abc"),
        ("api-key abc", "abc"),
        ("abc", "abc"),
        (basic(b"user:abc"), "abc"),
        (basic(b"user:a:b"), "a:b"),
        (basic(b"abc:"), "abc"),
        (basic(b"abc"), "abc"),
        (basic(b"user:abc").rstrip("="), "abc"),
        (basic("user:\u00e9".encode()), "\u00e9"),
        (basic(b"u:?>").replace("+", "-").replace("/", "_"), "?>"),
    ],
)
def test_the_key_is_read_in_every_scheme_that_shows_one(header: str, key: str) -> None:
    assert authorization_key(header) == key


@pytest.mark.parametrize(
    "header",
    [
        "Bearer", "Bearer  ", "Basic", "Basic ***", basic(b":"), basic(b"\xff\xfe"), "Digest username=abc",
        "Hawk id=1, mac=2",
    ],
)  # fmt: skip
def test_what_shows_no_key_is_told_from_nothing(header: str) -> None:
    assert authorization_key(header) is None
