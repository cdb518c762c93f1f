"""Masking of log lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.kernel.log_masks import mask, signature, sql

INFRA = Path(__file__).resolve().parents[4] / "infra"

LINES = [
    ("order 12345 failed for user_42 after 1234ms", "order <*> failed for user_<*> after <*>"),
    ("trace_id=4bf92f35 span-id: 'ab12' requestId=7f", "trace_id=<*> span-id: <*> requestId=<*>"),
    ("Payment#142: java.lang.NullPointerException", "Payment#142: java.lang.NullPointerException"),
    ("at Foo$Bar#7 for ticket #42", "at Foo$Bar#7 for ticket #<*>"),
    ("steps=10##7048##5", "steps=<*>##<*>##<*>"),
    ('cannot read "secret name" of order #77', "cannot read <*> of order #<*>"),
    ("can't reach 10.0.0.1:8080 or 192.168.1.20", "can't reach <*> or <*>"),
    ("2026-05-01T10:00:00.123Z job 550e8400-e29b-41d4-a716-446655440000", "<*> job <*>"),
    ("at Sat Jul  9 22:53:22 2005 and 06/Nov/2025:10:11:12 +0000", "at <*> and <*>"),
    ("pointer 0xdeadBEEF digest 9f86d081884c7d65", "pointer <*> digest <*>"),
    ("mac 00:1b:44:11:3a:b7 via fe80::1ff:fe23:4567:890a", "mac <*> via <*>"),
    ("pod api-7d9f8b6c5-x2x4k is down", "pod api-<*>-<*> is down"),
    ("sha256 over http2 by log4j2 v2", "sha256 over http2 by log4j2 v2"),
    ("retry 1 of 3, 99.5% full, 1,024 bytes, 2.5 KB, 12.5 s", "retry <*> of <*>, <*>% full, <*>, <*>, <*>"),
    ("took 5µs or 1h or 10 minutes", "took <*> or <*> or <*>"),
    ("blk_-1608999687919862906 and attempt_14451_0020_m_01", "blk_<*> and attempt_<*>_<*>_m_<*>"),
    ("mail bob@example.org from https://a.example/x?y=1 now", "mail <*> from <*> now"),
    ("token eyJhbGciOi.eyJzdWIiOiJ.sig-nature_x, next", "token <*>, next"),
    ("read /etc/app/app.conf:12 or C:\\Temp\\x.dll, and/or not", "read <*> or <*>, and/or not"),
    ("db.internal.example:5432 refused, Foo.java:42 knows", "<*> refused, Foo.java:<*> knows"),
    ('10.1.1.1 "GET /v2/a HTTP/1.1" 200', "<*> GET <*> <*>"),
    ('{"msg":"order 5 lost","n":3.5}', '{"msg":"order <*> lost","n":<*>}'),
    ("Zahlung über 5 € für Köln 7 fehlgeschlagen", "Zahlung über <*> € für Köln <*> fehlgeschlagen"),
    ("first line 1\n  at second line 2", "first line <*>"),
    ("carriage 7\r\nreturn", "carriage <*>\r"),
    ("x" * 600, "x" * 512),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "masked"), LINES)
def test_what_varies_is_masked_and_names_are_kept(body: str, masked: str) -> None:
    assert mask(body) == masked


@pytest.mark.parametrize("body", ["", "\n", "<*>", '"', "'", '""', "{", "#", "#1", "_", "_1", "\\", "\0", "- - -"])
def test_odd_lines_are_borne(body: str) -> None:
    assert len(mask(body)) <= len(body) + 2


def test_masking_a_masked_line_changes_nothing() -> None:
    for body, _ in LINES:
        assert mask(mask(body)) == mask(body)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("", "request <*> failed: app.CardRefused"),
        ("app.CardRefused", "request <*> failed: app.CardRefused"),
        ("app.Timeout", "app.Timeout: request <*> failed: app.CardRefused"),
    ],
)
def test_the_type_of_an_exception_is_named_once(kind: str, expected: str) -> None:
    assert signature("request 5 failed: app.CardRefused", kind) == expected


def test_the_last_migration_of_the_view_runs_these_masks() -> None:
    files = sorted(Path(INFRA, "clickhouse", "telemetry").glob("*.sql"))
    last = [text for text in map(Path.read_text, files) if "log_signatures_1m_mv" in text][-1]

    assert sql("logs_raw") in last
