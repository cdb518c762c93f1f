"""Reading the engine's error text."""

from __future__ import annotations

import pytest

from infra.local.clickhouse_gateway.errors import http_status, parse_engine_error


@pytest.mark.parametrize(
    ("text", "code", "message", "name"),
    [
        ("Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)", 60, "Unknown table 'x'.", "UNKNOWN_TABLE"),
        (
            "Code: 376. DB::Exception: Code: 376. DB::Exception: Cannot parse uuid x: (at row 1). (CANNOT_PARSE_UUID)"
            " (version 26.9.2.1). (CANNOT_PARSE_UUID)",
            376,
            "Cannot parse uuid x: (at row 1).",
            "CANNOT_PARSE_UUID",
        ),
        ("Code: 1. DB::Exception: multi\nline (with) brackets (A_B)", 1, "multi\nline (with) brackets", "A_B"),
        ("A streaming insert is active", 1001, "A streaming insert is active", ""),
        ("", 1001, "", ""),
    ],
)  # fmt: skip
def test_code_message_and_name_are_told_apart(text: str, code: int, message: str, name: str) -> None:
    error = parse_engine_error(text)
    assert (error.code, error.message, error.name) == (code, message, name)


def test_an_error_is_printed_the_way_it_was_read() -> None:
    text = "Code: 60. DB::Exception: Unknown table 'x' (UNKNOWN_TABLE)"
    assert parse_engine_error(text).text() == text


@pytest.mark.parametrize(
    ("code", "status"), [(62, 400), (60, 404), (516, 403), (194, 401), (229, 413), (48, 501), (159, 408), (241, 500)]
)
def test_codes_have_their_http_status(code: int, status: int) -> None:
    assert http_status(code) == status
