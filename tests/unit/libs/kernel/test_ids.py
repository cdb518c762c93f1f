"""Identifiers."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from libs.kernel.ids import stable_id, uuid7

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_uuid7_says_its_version_and_variant() -> None:
    value = uuid.UUID(uuid7(NOW))

    assert value.version == 7
    assert value.variant == uuid.RFC_4122


def test_uuid7s_sort_by_time_and_do_not_repeat() -> None:
    ids = [uuid7(NOW + timedelta(milliseconds=i)) for i in range(100)]

    assert ids == sorted(ids)
    assert len({uuid7(NOW) for _ in range(1000)}) == 1000


def test_a_uuid7_carries_its_time_in_milliseconds() -> None:
    assert uuid.UUID(uuid7(NOW)).int >> 80 == int(NOW.timestamp() * 1000)


def test_a_stable_id_depends_on_where_its_parts_end() -> None:
    assert stable_id("a", "b") == stable_id("a", "b")
    assert stable_id("ab", "") != stable_id("a", "b")
    assert stable_id("a", "b") != stable_id("b", "a")
