from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.console.domain import formats

NOW = datetime(2026, 1, 31, 14, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=12), "12 s"),
        (timedelta(minutes=42, seconds=59), "42 min"),
        (timedelta(hours=3, minutes=5), "3 h 5 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=2, hours=4, minutes=59), "2 d 4 h"),
        (timedelta(days=2), "2 d"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(span: timedelta, words: str) -> None:
    assert formats.duration(span) == words


def test_instants_are_said_relative_to_now_and_absolutely_in_utc() -> None:
    assert formats.relative(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert formats.relative(NOW + timedelta(minutes=2), NOW) == "in 2 min"
    assert formats.relative(NOW - timedelta(seconds=2), NOW) == "just now"
    assert formats.absolute(NOW) == "2026-01-31 14:05:09 UTC"
    assert formats.iso(NOW) == "2026-01-31T14:05:09Z"


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://github.com/a/b", True),
        ("http://127.0.0.1:8080/services/x?from=1", True),
        ("/services/x", True),
        ("javascript:alert(1)", False),
        (" JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("//evil.example/x", False),
        ("/\\evil.example", False),
        ("https:evil", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_only_web_addresses_and_own_paths_become_links(url: str, safe: bool) -> None:
    assert bool(formats.safe_url(url)) is safe


def test_log_levels_follow_opentelemetry_severity_numbers() -> None:
    assert [formats.log_level(n) for n in (0, 1, 9, 12, 13, 17, 24)] == [
        "",
        "trace",
        "info",
        "info",
        "warn",
        "error",
        "fatal",
    ]
