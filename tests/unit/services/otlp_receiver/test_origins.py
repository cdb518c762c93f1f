"""Whose pages may send."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.otlp_receiver.origins import Origins
from services.otlp_receiver.settings import Settings


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://shop.example.com", "https://shop.example.com"),
        (" https://a.example.com ,https://b.example.com/, ", "https://b.example.com"),
        ("https://*.example.com", "https://eu.shop.example.com"),
        ("https://Shop.example.com", "https://shop.example.com"),
        ("http://localhost:*", "http://localhost:5173"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("*", "https://anything.example.org"),
        ("*", "null"),
        ("null", "null"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_a_named_origin_is_admitted(written: str, origin: str) -> None:
    assert Origins.of(written).admit(origin)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("", "https://shop.example.com"),
        ("", ""),
        ("https://shop.example.com", "https://shop.example.com.evil.org"),
        ("https://shop.example.com", "http://shop.example.com"),
        ("https://shop.example.com", "https://shopxexample.com"),
        ("https://shop.example.com", "https://shop.example.com:8443"),
        ("https://*.example.com", "https://example.com"),
        ("https://*.example.com", "https://evil.org/.example.com"),
        ("http://localhost:*", "http://localhost"),
        ("https://a.example.com", "null"),
    ],
)
def test_any_other_is_not(written: str, origin: str) -> None:
    assert not Origins.of(written).admit(origin)


@pytest.mark.parametrize(
    "written", ["shop.example.com", "https://a b", "https://a.example.com/path", "https://a;b", "**"]
)
def test_what_is_no_origin_is_refused_at_the_start(written: str) -> None:
    with pytest.raises(ValidationError, match="is no origin such as"):
        Settings(otlp_allowed_origins=written)


def test_the_setting_is_a_list_with_commas() -> None:
    assert Settings(otlp_allowed_origins="https://a.example.com, *").origins.names == ("https://a.example.com", "*")
    assert Settings().origins.names == ()
