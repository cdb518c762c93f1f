"""Starts as far as their senders can be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel.starts import LONGEST, began
from libs.storage.retention import ROLLUP_DAYS

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (NOW - timedelta(hours=1), NOW - timedelta(hours=1)),
        (NOW + timedelta(seconds=1), NOW),
        (datetime(9999, 12, 31, tzinfo=UTC), NOW),
        (datetime(1, 1, 1, tzinfo=UTC), NOW - LONGEST),
    ],
)
def test_a_start_lies_within_what_can_be_looked_at(stated: datetime, expected: datetime) -> None:
    assert began(stated, NOW) == expected


def test_what_can_be_looked_at_is_what_is_kept() -> None:
    assert timedelta(days=ROLLUP_DAYS) == LONGEST
